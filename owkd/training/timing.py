"""The time of an epoch, measured on a few of its steps: the real student, the real teacher, nothing written."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from owkd.config import Config
from owkd.evaluation.embed import embed_images
from owkd.models.checkpoint import load_teacher
from owkd.models.outputs import TeacherTargets
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.training.loop import train_step
from owkd.training.prepare import FoldData, batch_maker, open_fold
from owkd.training.run import Distillation

STEPS = 5
BUDGET_S = 30.0
"""of steps; beyond it no further one is taken, but two always are"""


@dataclass(frozen=True)
class EpochTime:
    """What an epoch costs.

    Attributes:
        steps: of an epoch
        measured: of these, after a first one that warms up
        step_s: their median
        image_s: of one validation image
        stored: whether the teacher's targets are stored first; otherwise the teacher runs in every step
        target_image_s: of the targets of one image, where they are stored
    """

    device: str
    steps: int
    measured: int
    step_s: float
    validation_images: int
    image_s: float
    stored: bool
    target_image_s: float = 0.0

    @property
    def seconds(self) -> float:
        """One epoch: all steps, and validation."""
        return self.steps * self.step_s + self.validation_images * self.image_s


def time_epoch(config: Config, fold: str) -> EpochTime:
    """Trains a few steps on a fold and forgets them. The threads are the process's.

    Where targets are to be stored, those of each batch are made before its time is taken; none reaches a disk.
    Raises as `owkd.training.run.run` does.
    """
    data = open_fold(config, fold)
    teacher = _teacher(config, fold, data) if config.distill.enabled else None
    stored = teacher is not None and config.teacher.targets.use != "live"
    task = Distillation(config, data, None if stored else teacher, Path(os.devnull), config.train.seed)
    make = batch_maker(data.training_set.labels, config.train.batch_size, config.train.images_per_identity)
    batches = make(np.random.default_rng([config.train.seed, 1]))
    steps, targets = _time_steps(task, batches, teacher.to(task.device) if stored and teacher is not None else None)
    return EpochTime(
        device=task.device.type,
        steps=len(batches),
        measured=len(steps) - 1,
        step_s=median(steps[1:]),
        validation_images=len(data.validation_images),
        image_s=_time_image(task),
        stored=stored,
        target_image_s=median(targets[1:]) / len(batches[0]) if stored else 0.0,
    )


def _teacher(config: Config, fold: str, data: FoldData) -> WseNet:
    shape = architecture(config.student.preset, config.student.depths)
    path = config.teacher.checkpoint_for(fold)
    size = config.data.image_size
    return load_teacher(path, shape=shape, image_size=size, identities=data.identities, window=data.window)


def _time_steps(
    task: Distillation, batches: Sequence[np.ndarray], teacher: WseNet | None
) -> tuple[list[float], list[float]]:
    """Seconds of each step, and of each batch's targets where a teacher makes them; the first of both warms up."""
    steps: list[float] = []
    targets: list[float] = []
    task.modules.train()
    for indices in islice(cycle(batches), STEPS + 1):
        batch = task.data.training_set.batch(indices, task.device)
        if teacher is not None:
            with _timed(targets), torch.no_grad():
                made = TeacherTargets.of(teacher(batch.images))
                _wait_for(made.pooled)
            batch = batch._replace(targets=made)
        with _timed(steps):
            _wait_for(train_step(task, batch)["total"])
        if len(steps) > 1 and sum(steps) > BUDGET_S:
            break
    return steps, targets


def _time_image(task: Distillation) -> float:
    task.modules.eval()
    size = task.config.train.validation_batch_size
    some = task.data.validation_images[:size]
    seconds: list[float] = []
    with _timed(seconds):
        _wait_for(embed_images(task.student.embed, some, task.device, size))
    return seconds[0] / len(some)


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    """Appends what the block took."""
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def _wait_for(values: Tensor) -> None:
    """Until a GPU has computed them: its queue runs on after a call returns."""
    float(values.detach().sum())
