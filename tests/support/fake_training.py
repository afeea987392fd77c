"""Stands in for training: learning curves from a formula, with checkpoints and failures on demand.

It keeps the contract of `owkd.training.run.run`: whole state in last.pt after each epoch and before it is told,
replay on restart, DivergedError. What shall go wrong stands in `<data.root>/plan.json`, by the name of a folder
(`{"trial-00003": "crash always"}`), so that any worker process finds it:

    bad             its quality is so low that a scheduler stops it
    diverge         at epoch 2
    crash once      at epoch 2
    crash always    at epoch 1
    out of memory   at epoch 2
    out of memory on half a GPU   at epoch 2, unless Ray gave it a whole one
    die             at epoch 2, once, without a word
    refuse          as input that does not fit
    no room         at epoch 2, as a disk without any

On a node whose id stands in `<data.root>/full-nodes`, every checkpoint finds no room.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owkd.config import Config
from owkd.errors import CheckpointError, DivergedError
from owkd.files import make_folder, written_whole

if TYPE_CHECKING:
    from search.retrain.test_evaluation import Evaluation


@dataclass(frozen=True)
class Epoch:
    """As `owkd.training.loop.Epoch`, without importing torch: that takes a worker two seconds."""

    fold: str
    seed: int
    epoch: int
    metrics: dict[str, float]
    replayed: bool
    note: str = ""


METRICS = ("loss/total", "loss/logit_gce", "val/mAP", "val/rank-1", "val/mINP", "val/center_accuracy")


def fake_run(
    config: Config,
    report: Callable[[Any], None] | None = None,
    *,
    fold: str,
    directory: Path,
    seed: int | None = None,
) -> Any:
    seed = config.train.seed if seed is None else seed
    make_folder(directory)
    state = directory / "last.pt"
    history = json.loads(state.read_text()) if state.exists() else []
    fate = _fate(config, directory)
    for epoch in range(1, config.train.epochs + 1):
        replayed = epoch <= len(history)
        if not replayed:
            time.sleep(float(os.environ.get("FAKE_EPOCH_S", "0")))
            _misbehave(fate, epoch, directory)
            _require_room(config)
            history.append(curve(config, fold, seed, epoch, _factor(fate, epoch)))
            with written_whole(directory / "best.safetensors") as path:
                path.write_text(json.dumps({"fold": fold, "seed": seed, "quality": quality(config)}))
            with written_whole(state) as path:
                path.write_text(json.dumps(history))
        if report is not None:
            report(Epoch(fold=fold, seed=seed, epoch=epoch, metrics=history[epoch - 1], replayed=replayed))
    return None


def quality(config: Config) -> float:
    """In (0, 1]: best where gram is 1e-4 and the teachers' weights are equal."""
    weights = config.distill.teacher_weights
    spread = abs(weights.original - 1) + abs(weights.attention - 1) + abs(weights.gce - 1)
    distance = abs(math.log10(config.distill.gram / 1e-4)) if config.distill.gram else 2.0
    return 1 / (1 + 0.3 * distance + 0.1 * spread)


def curve(config: Config, fold: str, seed: int, epoch: int, factor: float = 1.0) -> dict[str, float]:
    """Metrics of an epoch; the last but one is the best."""
    shape = 1 - 0.6**epoch - (0.02 if epoch == config.train.epochs else 0)
    value = factor * quality(config) * shape + 0.001 * (seed % 10) + (0.01 if fold.endswith("2") else 0)
    metrics = dict.fromkeys(METRICS, value)
    learned = config.distill.stage_weights == "learned"
    metrics |= {f"stage_weight/{i}": 1.0 if learned else float(i) for i in range(1, 5)}
    return metrics | {"loss/total": 1 / epoch, "learning_rate": config.train.learning_rate, "duration_s": 0.25}


def make_plan(tmp: Path, plan: dict[str, str]) -> None:
    """What shall go wrong, for a configuration of `fake_config(tmp)`."""
    (tmp / "data").mkdir(exist_ok=True)
    (tmp / "data" / "plan.json").write_text(json.dumps(plan))


def _fate(config: Config, directory: Path) -> str:
    path = config.data.root / "plan.json"
    plan = json.loads(path.read_text()) if path.exists() else {}
    return next((fate for name, fate in plan.items() if name in directory.parts), "")


def _factor(fate: str, epoch: int) -> float:
    """Of an epoch's metrics."""
    if fate == "nan" and epoch == 2:
        return math.nan
    return 0.01 if fate == "bad" else 1.0


def _misbehave(fate: str, epoch: int, directory: Path) -> None:
    if fate == "refuse":
        raise CheckpointError("teacher.safetensors cannot teach here")
    if fate == "crash always":
        raise RuntimeError("this never works")
    if epoch != 2:
        return
    if fate == "no room":
        _write_to_a_full_disk()
    if fate == "diverge":
        raise DivergedError("loss/total must be finite, but got nan at step 3")
    if fate == "crash once" and not (directory / "crashed").exists():
        (directory / "crashed").touch()
        raise RuntimeError("a cable came loose")
    if fate == "die" and not (directory / "crashed").exists():
        (directory / "crashed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "out of memory" or (fate == "out of memory on half a GPU" and _gpu() < 1):
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")


def _require_room(config: Config) -> None:
    full = config.data.root / "full-nodes"
    if full.exists():
        import ray

        if ray.get_runtime_context().get_node_id() in full.read_text().split():
            _write_to_a_full_disk()


def _write_to_a_full_disk() -> None:
    Path("/dev/full").write_text("x")  # the kernel itself says that no space is left


def _gpu() -> float:
    import ray

    return float(ray.get_runtime_context().get_assigned_resources().get("GPU", 0))


def fake_check(config: Config) -> dict[str, Any]:
    return {"data": {fold: {"train": "a", "validation": "b"} for fold in config.fold_names()}, "teacher": {}}


def fake_config(tmp: Path, **search: Any) -> dict[str, Any]:
    """A configuration as plain values; `search` overrides its section."""
    return {
        "name": "fake",
        "data": {"root": str(tmp / "data"), "dataset": "toy"},
        "teacher": {"checkpoint": str(tmp / "teacher-{fold}.safetensors")},
        "train": {"epochs": 4},
        "search": {
            "trials": 6,
            "max_failures": 1,
            "scheduler": {"name": "none"},
            "objectives": [{"reduction": "best"}],
            "resources": {"cpu": 1, "gpu": 0},
            "space": {
                "distill.gram": {"type": "float", "low": 2e-5, "high": 9e-4, "log": True},
                "distill.teacher_weights": {"type": "simplex"},
                "distill.stage_weights": {"type": "simplex"},
            },
            **search,
        },
    }


def fake_evaluate(
    checkpoint: Path, data: Any, *, fold: str, split: str, protocol: str = "standard", device: str = "auto"
) -> Evaluation:
    """The test split of what `fake_run` wrote; a file that is no JSON is the teacher. Keeps a log of every call."""
    with (Path(data.root) / "opened.log").open("a") as log:
        log.write(f"{split} {fold} {checkpoint}\n")
    try:
        found = json.loads(checkpoint.read_text())
    except (ValueError, OSError):
        return evaluation(0.9, 0.95, fold, 0, 109_500_000.0)
    luck = 0.01 * math.sin(1000 * found["quality"] + 7 * (found["seed"] % 100) + len(fold) * ord(fold[-1]))
    value = found["quality"] * 0.8 + 0.001 * (found["seed"] % 10) + luck
    return evaluation(value, value + 0.05, fold, found["seed"] % 1000, 45_500_000.0)


def fake_read_state(checkpoint: Path) -> None:
    """As `owkd.models.checkpoint.read_state` of what `fake_run` wrote."""
    try:
        json.loads(checkpoint.read_text())
    except ValueError as error:
        raise CheckpointError(f"{checkpoint} is no stand-in of a model") from error


PEOPLE, QUERIES_EACH = 8, 10
"""of each fold, who are nobody of another fold"""


def evaluation(mean: float, rank_1: float, fold: str, training: int, parameters: float) -> Evaluation:
    """An mAP, the nearest rank-1 that so many queries can have, and rows that have both; no person is like another."""
    import pyarrow as pa

    from search.retrain.test_evaluation import Evaluation

    total = PEOPLE * QUERIES_EACH
    queries = range(total)
    people = [10 * int(fold[-1]) + query // QUERIES_EACH for query in queries]
    waves = [math.sin(person) + 0.5 * math.sin(query + training) for query, person in zip(queries, people, strict=True)]
    precision = [mean + 0.02 * (wave - sum(waves) / total) for wave in waves]
    hits = set(sorted(queries, key=lambda query: -precision[query])[: round(rank_1 * total)])
    rows = {
        "query": list(queries),
        "identity": people,
        "camera": [query % 2 for query in queries],
        "average_precision": precision,
        "first_match": [1.0 if query in hits else 2.0 for query in queries],
        "rank_1": [1.0 if query in hits else 0.0 for query in queries],
    }
    metrics = {"mAP": sum(precision) / total, "rank-1": len(hits) / total, "mINP": mean - 0.05}
    return Evaluation({**metrics, "parameters": parameters}, pa.table(rows))


def broken_evaluate(checkpoint: Path, data: Any, **named: Any) -> Evaluation:
    """`fake_evaluate`, but for the model whose folder `<data.root>/broken` names."""
    if (Path(data.root) / "broken").read_text() in str(checkpoint):
        raise RuntimeError("no such luck")
    return fake_evaluate(checkpoint, data, **named)


def fake_validate(checkpoint: Path, data: Any, train: Any, fold: str, device: str) -> Any:
    """As `owkd.training.members.validate_members`: ten people of four queries each; a file that is no JSON is the
    teacher, which is ahead by what `<data.root>/teacher-lead` holds.
    """
    import numpy as np

    from owkd.training.members import MemberScores

    try:
        json.loads(checkpoint.read_text())
        lead = 0.0
    except (ValueError, OSError):
        lead = float((Path(data.root) / "teacher-lead").read_text())
    people = np.repeat(np.arange(10), 4)
    values = 0.5 + 0.1 * np.sin(people + len(fold)) + lead * (1 + 0.1 * np.cos(people) - 0.1 * np.cos(people).mean())
    metrics = dict.fromkeys(METRICS[2:], float(values.mean()))
    return {name: MemberScores(metrics, people, values) for name in ("original", "attention", "gce")}
