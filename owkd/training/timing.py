"""The time of an epoch, measured on a few of its steps: the real student, the real teacher, nothing written."""

import os
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np

from owkd.config import Config
from owkd.evaluation.embed import embed_images
from owkd.models.checkpoint import load_teacher
from owkd.models.presets import architecture
from owkd.training.prepare import batch_maker, open_fold
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

    @property
    def seconds(self) -> float:
        """One epoch: all steps, and validation."""
        return self.steps * self.step_s + self.validation_images * self.image_s


def time_epoch(config: Config, fold: str) -> EpochTime:
    """Trains a few steps on a fold and forgets them; the teacher runs in each. The threads are the process's.

    Raises as `owkd.training.run.run` does.
    """
    data = open_fold(config, fold)
    teacher = None
    if config.distill.enabled:
        shape = architecture(config.student.preset, config.student.depths)
        path = config.teacher.checkpoint_for(fold)
        teacher = load_teacher(path, shape=shape, image_size=config.data.image_size, identities=data.identities)
    task = Distillation(config, data, teacher, Path(os.devnull), config.train.seed)
    make = batch_maker(data.training_set.labels, config.train.batch_size, config.train.images_per_identity)
    batches = make(np.random.default_rng([config.train.seed, 1]))
    durations: list[float] = []
    task.modules.train()
    for indices in islice(cycle(batches), STEPS + 1):
        start = time.perf_counter()
        total = task.step(*data.training_set.batch(indices, task.device))["total"]
        task.optimizer.zero_grad(set_to_none=True)
        total.backward()
        task.optimizer.step()
        float(total.detach())  # waits for a GPU
        durations.append(time.perf_counter() - start)
        if len(durations) > 1 and sum(durations) > BUDGET_S:
            break
    task.modules.eval()
    some = data.validation_images[: config.train.validation_batch_size]
    start = time.perf_counter()
    float(embed_images(task.student.embed, some, task.device, config.train.validation_batch_size).sum())
    embedding_s = time.perf_counter() - start
    measured = durations[1:] or durations
    return EpochTime(
        device=task.device.type,
        steps=len(batches),
        measured=len(measured),
        step_s=median(measured),
        validation_images=len(data.validation_images),
        image_s=embedding_s / len(some),
    )
