"""What validation measures is what the table of metrics promises."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from owkd.config import EPOCH_METRICS
from owkd.training.prepare import validation_metrics

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
