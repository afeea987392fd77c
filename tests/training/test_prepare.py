"""What validation measures is what the table of metrics promises."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from owkd.config import EPOCH_METRICS
from owkd.errors import DataError
from owkd.training.prepare import open_fold, validation_metrics
from search.runs.inputs import look_at_inputs
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric


def test_every_epoch_metric_of_the_table_is_measured() -> None:
    """Two people with two images each, on a line; a1 is nearer to b0 than to a0."""
    split: Any = SimpleNamespace(identities=np.array([0, 0, 1, 1]))
    measured = validation_metrics(torch.tensor([[0.0], [2.0], [3.0], [3.5]]), split)
    assert tuple(measured) == EPOCH_METRICS
    # rank of the only match: 1 for a0 (of 2, 3, 3.5), 3 for a1 (of 1, 1.5, 2), 1 for b0 and b1
    assert measured["val/rank-1"] == pytest.approx(3 / 4)
    assert measured["val/mAP"] == measured["val/mINP"] == pytest.approx((1 + 1 / 3 + 1 + 1) / 4)
    # centres are the first of equals: a0 and b0, and no stranger comes before their last match
    assert measured["val/center_accuracy"] == 1.0


def test_splits_that_nothing_is_learned_from_are_refused_before_a_training(root: Path, tmp_path: Path) -> None:
    """Nobody of validation has a second image; nobody to be told apart in train. `owkd plan` finds both, too."""
    for split in ("validation", "train"):
        data = tmp_path / split
        shutil.copytree(root / "Synthetic_thermal", data / "Synthetic_thermal")
        place = data / "Synthetic_thermal/Fold1" / split / "allcam"
        if split == "train":
            for folder in sorted(place.iterdir())[1:]:
                shutil.rmtree(folder)
        else:
            for folder in place.iterdir():
                for image in sorted(folder.iterdir())[1:]:
                    image.unlink()
        words = "two people to tell apart" if split == "train" else "second image to be recognised by"
        config = small_config(data)
        with pytest.raises(DataError, match=words):
            open_fold(config, "Fold1")
        assert any(words in problem for problem in look_at_inputs(config)[1])
