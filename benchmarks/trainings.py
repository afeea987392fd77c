"""What benchmarks of trainings share: images, real and synthetic, and trainings that are tested once and then kept.

<folder>/data/                Omniglot (`benchmarks.evidence.omniglot`) and synthetic people (`owkd data synth`)
<folder>/teachers/            a teacher each
<folder>/trainings.jsonl      a line for each training that is over: what it was, and its test mAP
<folder>/running/             the training that runs, which goes on where it was stopped
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.special import stdtrit

from benchmarks.evidence.omniglot import write_omniglot
from owkd.config import Config
from owkd.data.synthetic import DATASET as SYNTHETIC
from owkd.data.synthetic import write_dataset
from owkd.evaluation.evaluate import evaluate_checkpoint
from owkd.models.checkpoint import save_model
from owkd.training.prepare import initial_network, signature
from owkd.training.reduction import EpochRule
from owkd.training.run import run
from owkd.training.teacher import train_teacher

FOLD = "Fold1"
OMNIGLOT = "Omniglot"
LEVEL = 0.95
LAST_EPOCH = EpochRule(reduction="last")
"""chosen beforehand, so that nothing is chosen by luck"""


def real_images(folder: Path, drawers: int) -> Path:
    """Omniglot's drawings by so many people, unless they are there -> the folder that holds the data set."""
    write_omniglot(folder / "data", OMNIGLOT, range(1, drawers + 1))
    return folder / "data"


def synthetic_images(folder: Path, people: int, images: int, size: int) -> Path:
    """Synthetic people, unless they are there -> the folder that holds the data set."""
    if not (folder / "data" / SYNTHETIC).exists():
        write_dataset(folder / "data", identities=people, images=images, size=size)
    return folder / "data"


class Trainings:
    """Trainings that are over, by what they were."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "trainings.jsonl"
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        self.tested: dict[str, float] = {each["what"]: each["mAP"] for each in map(json.loads, lines)}

    def teacher(self, config: Config) -> Path:
        """The file of the teacher that a configuration describes; trained unless it is there."""
        out = self.folder / "teachers" / f"{_digest(config, 'teacher')}.safetensors"
        if not out.exists():
            train_teacher(config, lambda epoch: None, fold=FOLD, out=out)
        return out

    def test_map(self, config: Config, seed: int) -> float:
        """Test mAP of the last epoch of one training, looked at once."""

        def trained(folder: Path) -> Path:
            return run(config, fold=FOLD, directory=folder, seed=seed, keep=LAST_EPOCH).checkpoint

        return self._tested(f"{_digest(config)}, seed {seed}", config, trained)

    def untrained_map(self, config: Config, seed: int) -> float:
        """Test mAP of the first weights of a student."""

        def untrained(folder: Path) -> Path:
            model = initial_network(config.student, 2, config.data.image_size, "student", seed)
            save_model(model, folder / "first.safetensors")
            return folder / "first.safetensors"

        return self._tested(f"{_digest(config, 'student')}, untrained, seed {seed}", config, untrained)

    def _tested(self, what: str, config: Config, checkpoint_in: Callable[[Path], Path]) -> float:
        if what not in self.tested:
            running = self.folder / "running" / what
            checkpoint = checkpoint_in(running)
            result, _ = evaluate_checkpoint(checkpoint, config.data, fold=FOLD, split="test")
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"what": what, "mAP": result.mean_average_precision}) + "\n")
            self.tested[what] = result.mean_average_precision
            shutil.rmtree(running)
        return self.tested[what]

    def all_maps(
        self, configs: Mapping[Any, Config], seeds: int, show: Callable[[str], None] = print
    ) -> dict[Any, list[float]]:
        """Of every configuration by seed, seed after seed, so that a table of fewer seeds is there early."""
        scores: dict[Any, list[float]] = {name: [] for name in configs}
        for seed in range(seeds):
            for name, config in configs.items():
                scores[name].append(self.test_map(config, seed))
                show(f"{name}, seed {seed}: test mAP {scores[name][-1]:.4f}")
        return scores


def _digest(config: Config, *sections: str) -> str:
    """Of what decides the numbers, wherever its files are."""
    tree = config.to_dict()
    tree["data"].pop("root")
    tree["teacher"].pop("checkpoint")
    named = sections or ("teacher", "student", "train", "distill")
    return signature(data=tree["data"], **{name: tree[name] for name in named})[:16]


def in_points(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds, in points."""
    return f"{100 * fmean(values):.1f}" + (f" ± {100 * stdev(values):.1f}" if len(values) > 1 else "")


def lead_in_points(values: Sequence[float], base: Sequence[float]) -> str:
    """Mean difference of pairs of equal seeds in points, with its t interval."""
    differences = [100 * (value - other) for value, other in zip(values, base, strict=True)]
    if len(differences) < 2:
        return f"{differences[0]:+.1f}"
    half = stdtrit(len(differences) - 1, (1 + LEVEL) / 2) * stdev(differences) / len(differences) ** 0.5
    mean = fmean(differences)
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


@contextmanager
def folder_of(kept: Path | None) -> Iterator[Path]:
    """The folder to keep everything in, or one for as long as it is entered."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="owkd-bench-") as name:
        yield Path(name)
