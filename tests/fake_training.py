"""Stands in for training: learning curves from a formula, with checkpoints and failures on demand.

It keeps the contract of `owkd.training.run.run`: whole state in last.pt after each epoch and before it is told,
replay on restart, DivergedError. What a trial does is read from its own configuration, so that any worker process
can run it:

    distill.gram < 1e-5        diverges at epoch 2
    distill.gram > 1e-3        its quality is so low that a scheduler stops it
    student.depths[0]          a code for what goes wrong: 11 crash once, 12 crash always, 13 out of memory, 14 refused
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from owkd.config import Config
from owkd.errors import CheckpointError, DivergedError
from owkd.files import written_whole

METRICS = ("loss/total", "loss/logit_gce", "val/mAP", "val/rank-1", "val/mINP", "val/center_accuracy")


def fake_run(
    config: Config,
    report: Callable[[Any], None] | None = None,
    *,
    fold: str,
    directory: Path,
    seed: int | None = None,
) -> Any:
    from owkd.training.loop import Epoch

    seed = config.train.seed if seed is None else seed
    directory.mkdir(parents=True, exist_ok=True)
    state = directory / "last.pt"
    history = json.loads(state.read_text()) if state.exists() else []
    code = config.student.depths[0] if config.student.depths else 0
    for epoch in range(1, config.train.epochs + 1):
        replayed = epoch <= len(history)
        if not replayed:
            time.sleep(float(os.environ.get("FAKE_EPOCH_S", "0")))
            _misbehave(config, code, epoch, directory)
            history.append(curve(config, fold, seed, epoch))
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


def curve(config: Config, fold: str, seed: int, epoch: int) -> dict[str, float]:
    """Metrics of an epoch; the last but one is the best."""
    shape = 1 - 0.6**epoch - (0.02 if epoch == config.train.epochs else 0)
    value = quality(config) * shape + 0.001 * seed + (0.01 if fold.endswith("2") else 0)
    metrics = dict.fromkeys(METRICS, value)
    learned = config.distill.stage_weights == "learned"
    metrics |= {f"stage_weight/{i}": 1.0 if learned else float(i) for i in range(1, 5)}
    return metrics | {"loss/total": 1 / epoch, "learning_rate": config.train.learning_rate, "duration_s": 0.25}


def _misbehave(config: Config, code: int, epoch: int, directory: Path) -> None:
    if config.distill.gram < 1e-5 and epoch == 2:
        raise DivergedError("loss/total must be finite, but got nan at step 3")
    if code == 11 and epoch == 2 and not (directory / "crashed").exists():
        (directory / "crashed").touch()
        raise RuntimeError("a cable came loose")
    if code == 12:
        raise RuntimeError("this never works")
    if code == 13 and epoch == 2:
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    if code == 14:
        raise CheckpointError("teacher.safetensors cannot teach here")


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
) -> dict[str, float]:
    """Test metrics of what `fake_run` wrote; a file that is no JSON is the teacher. Keeps a log of every call."""
    with (Path(data.root) / "opened.log").open("a") as log:
        log.write(f"{split} {fold} {checkpoint}\n")
    try:
        found = json.loads(checkpoint.read_text())
    except (ValueError, OSError):
        return {"mAP": 0.9, "rank-1": 0.95, "mINP": 0.8, "parameters": 109_500_000.0}
    value = found["quality"] * 0.8 + 0.001 * found["seed"]
    return {"mAP": value, "rank-1": value + 0.05, "mINP": value - 0.05, "parameters": 45_500_000.0}
