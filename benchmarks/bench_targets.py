"""A trial with stored teacher targets against one that runs its teacher in every step, and what the targets cost.

The steps are those of a training: images and targets come from their memory maps, and the optimizer moves the student.
Weights are random; all candidates start from the same student, and the first step's loss shows that they compute the
same.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks import measure
from owkd.config import Config, Preset, parse_config
from owkd.data.synthetic import DATASET, write_dataset
from owkd.formatting import format_bytes
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.training.loop import TrainingSet, train_step
from owkd.training.prepare import build_network, open_fold
from owkd.training.run import Distillation, attach_teacher
from owkd.training.targets import plan_targets

COMMAND = "python -m benchmarks.bench_targets"


@dataclass(frozen=True)
class Sizes:
    """What is trained, on what, how often."""

    teacher: Preset
    student: Preset
    image_size: int
    batch: int
    identities: int
    """of the data set; half of them train"""
    steps: int


PUBLISHED = Sizes("small", "micro", 224, batch=4, identities=16, steps=3)
NANO = Sizes("nano", "nano", 64, batch=16, identities=40, steps=20)
QUICK = (replace(NANO, steps=3, identities=16),)


class Kind(NamedTuple):
    """What a trial learns from, and how."""

    use: str
    """of the teacher: live or stored"""
    targets: str = "fp32"
    """precision of what is stored"""
    networks: str = "fp32"
    """precision that they compute in"""


CANDIDATES = {
    "live teacher": Kind("live"),
    "targets, fp32": Kind("stored"),
    "targets, fp16": Kind("stored", "fp16"),
    "live teacher, networks in bf16": Kind("live", networks="bf16"),
    "targets, bf16, networks in bf16": Kind("stored", "bf16", "bf16"),
}
"""the last two where the processor has instructions for them"""


def candidates() -> dict[str, Kind]:
    """What is measured on this machine."""
    fast = measure.has_fast_bfloat16()
    return {name: kind for name, kind in CANDIDATES.items() if fast or kind.networks == "fp32"}


def configured(sizes: Sizes, folder: Path, kind: Kind) -> Config:
    """A training on a small synthetic data set in this folder."""
    return parse_config(
        {
            "data": {"root": str(folder), "dataset": DATASET, "image_size": sizes.image_size},
            "teacher": {
                "checkpoint": str(folder / "teacher.safetensors"),
                "preset": sizes.teacher,
                "targets": {"use": kind.use, "precision": kind.targets},
            },
            "student": {"preset": sizes.student},
            "train": {"batch_size": sizes.batch, "device": "cpu", "precision": kind.networks},
        }
    )


class Trial:
    """The steps of one training, one at each call."""

    def __init__(self, config: Config) -> None:
        start = measure.clock()
        data, teacher = attach_teacher(config, open_fold(config, "Fold1"), "Fold1")
        self.ready_s = measure.clock() - start
        self.task = Distillation(config, data, teacher, Path("unused"), seed=0)
        self.task.modules.train()
        self.set: TrainingSet = data.training_set
        self.order = np.random.default_rng(0)
        self.losses: list[float] = []

    def __call__(self) -> None:
        size = self.task.config.train.batch_size
        indices = self.order.choice(len(self.set.labels), size, replace=len(self.set.labels) < size)
        terms = train_step(self.task, self.set.batch(indices, self.task.device))
        self.losses.append(terms["total"].item())


def report(sizes: Sizes) -> str:
    """One table: the step with each kind of teacher, and what building the targets takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder, identities=sizes.identities, images=4, size=sizes.image_size)
        classes = len(list((folder / DATASET / "Fold1" / "train" / "allcam").iterdir()))
        teacher = build_network(architecture(sizes.teacher), classes, sizes.image_size, "teacher", seed=1)
        save_model(teacher, folder / "teacher.safetensors")
        configs = {name: configured(sizes, folder, kind) for name, kind in candidates().items()}
        trials = {name: Trial(config) for name, config in configs.items()}
        steps: dict[str, Callable[[], object]] = dict(trials)
        timings = measure.interleaved(steps, sizes.steps)
        train = open_fold(configs["live teacher"], "Fold1").train
        rows = []
        for name, trial in trials.items():
            per_image = cost = ""
            kind = CANDIDATES[name]
            if kind.use == "stored":
                plan = plan_targets(configs[name], "Fold1", train)
                per_image = format_bytes(plan.bytes // plan.images)
                cost = measure.duration(trial.ready_s / plan.images)
            live = next(other for other, its in CANDIDATES.items() if its == Kind("live", networks=kind.networks))
            ratio = timings[live].median / timings[name].median
            median = measure.duration(statistics.median(timings[name].seconds))
            rows.append([name, median, f"{ratio:.2f} x", per_image, cost, f"{trial.losses[0]:.5f}"])
    columns = ["trial", "one step", "speed", "an image on disk", "built, an image", "loss of the first step"]
    head = (
        f"Teacher {sizes.teacher}, student {sizes.student}, {sizes.image_size} px, batch {sizes.batch}, cpu. "
        "The speed is against the live teacher whose networks compute in the same precision."
    )
    return f"{head}\n\n{measure.table(columns, rows)}"


def main() -> None:
    """Measures published and demo sizes, or, with --quick, a small one."""
    arguments = measure.parser(__doc__ or "").parse_args()
    torch.set_num_threads(arguments.threads)
    tables = [report(sizes) for sizes in (QUICK if arguments.quick else (PUBLISHED, NANO))]
    text = "\n\n".join([*tables, measure.CLOCK])
    measure.publish("Teacher targets", text, measure.command(COMMAND, arguments), arguments.threads, arguments.record)


if __name__ == "__main__":
    main()
