"""The time of an epoch, measured on a few of its steps: the real student, the real teacher, nothing written."""

import os
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch

from owkd.config import Config
from owkd.evaluation.embed import embed_images
from owkd.models.checkpoint import load_teacher
from owkd.models.outputs import TeacherTargets
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.training.prepare import FoldData, batch_maker, open_fold
from owkd.training.run import Distillation

STEPS = 5
BUDGET_S = 30.0
"""of steps; beyond it no further one is taken, but two always are"""


@dataclass(frozen=True)
class EpochTime:
    """What an epoch costs."""

    device: str
    steps: int
    """of an epoch"""
    measured: int
    """of these, after a first one that warms up"""
    step_s: float
    """their median"""
    validation_images: int
    image_s: float
    """of one validation image"""
    stored: bool
    """whether the teacher's targets are stored first; otherwise the teacher runs in every step"""
    target_image_s: float = 0.0
    """of the targets of one image, where they are stored"""

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
    durations, teaching = [], []
    task.modules.train()
    for indices in islice(cycle(batches), STEPS + 1):
        images, labels, targets = data.training_set.batch(indices, task.device)
        if stored and teacher is not None:
            start = time.perf_counter()
            with torch.no_grad():
                targets = TeacherTargets.of(teacher.to(task.device)(images))
            float(targets.pooled.sum())  # waits for a GPU
            teaching.append((time.perf_counter() - start) / len(images))
        start = time.perf_counter()
        total = task.step(images, labels, targets)["total"]
        task.optimizer.zero_grad(set_to_none=True)
        total.backward()
        task.optimizer.step()
        float(total.detach())
        durations.append(time.perf_counter() - start)
        if len(durations) > 1 and sum(durations) > BUDGET_S:
            break
    return EpochTime(
        device=task.device.type,
        steps=len(batches),
        measured=len(durations) - 1,
        step_s=median(durations[1:]),
        validation_images=len(data.validation_images),
        image_s=_time_image(task),
        stored=stored,
        target_image_s=median(teaching[1:]) if stored else 0.0,
    )


def _teacher(config: Config, fold: str, data: FoldData) -> WseNet:
    shape = architecture(config.student.preset, config.student.depths)
    path = config.teacher.checkpoint_for(fold)
    return load_teacher(path, shape=shape, image_size=config.data.image_size, identities=data.identities)


def _time_image(task: Distillation) -> float:
    task.modules.eval()
    size = task.config.train.validation_batch_size
    some = task.data.validation_images[:size]
    start = time.perf_counter()
    float(embed_images(task.student.embed, some, task.device, size).sum())
    return (time.perf_counter() - start) / len(some)
