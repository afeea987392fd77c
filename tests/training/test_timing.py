"""What an epoch takes, measured on a few steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from owkd.config import NO_DISTILLATION, Config
from owkd.training import timing
from owkd.training.prepare import batch_maker, open_fold
from owkd.training.timing import EpochTime, time_epoch
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric


def configured(root: Path, kind: str) -> Config:
    if kind == "no teacher":
        return small_config(root, distill=NO_DISTILLATION.model_dump())
    return small_config(root, teacher={"targets": {"use": kind}})


@pytest.mark.parametrize(("kind", "stored"), [("stored", True), ("live", False), ("no teacher", False)])
def test_an_epoch_is_timed_without_a_trace(root: Path, kind: str, stored: bool) -> None:
    config = configured(root, kind)
    before = sorted(root.rglob("*"))
    measured = time_epoch(config, "Fold1")
    data = open_fold(config, "Fold1")
    batches = batch_maker(data.training_set.labels, config.train.batch_size, config.train.images_per_identity)
    assert measured.steps == len(batches(np.random.default_rng(0)))
    assert measured.measured == timing.STEPS
    assert measured.validation_images == len(data.validation_images)
    assert measured.stored is stored
    assert (measured.target_image_s > 0) is stored
    assert min(measured.step_s, measured.image_s) > 0
    assert sorted(root.rglob("*")) == before


def test_slow_steps_are_fewer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "BUDGET_S", 0.0)
    assert time_epoch(configured(root, "live"), "Fold1").measured == 1


def test_an_epoch_is_its_steps_and_its_validation() -> None:
    assert EpochTime("cpu", 10, 5, step_s=3.0, validation_images=12, image_s=0.5, stored=False).seconds == 36
