"""What a student is measured by: the one table of metrics, which objectives, constraints and tables are made from.

A further metric is a row here and the code that measures it: `owkd.training.prepare.validation_metrics` for one of
every epoch, `owkd.training.cost` for one of the student.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

Direction = Literal["max", "min"]


@dataclass(frozen=True)
class Metric:
    """A number that says how good a student is.

    Attributes:
        name: `val/...` for what is measured on the validation split
        direction: which way is better
        measured: after each epoch on the validation split, or once for a student, whose epochs do not change it
        label: for figures
        headline: among the few that summaries show, and that are measured on the test split too
        repeatable: whether the same training on the same machine gives the same number again
    """

    name: str
    direction: Direction
    measured: Literal["epoch", "student"]
    label: str
    headline: bool = False
    repeatable: bool = True


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("val/mAP", "max", "epoch", "mAP", headline=True),
        Metric("val/rank-1", "max", "epoch", "rank-1", headline=True),
        Metric("val/mINP", "max", "epoch", "mINP", headline=True),
        Metric("val/center_accuracy", "max", "epoch", "centre accuracy"),
        Metric("latency_ms", "min", "student", "latency (ms)", repeatable=False),
        Metric("parameters", "min", "student", "parameters"),
        Metric("flops", "min", "student", "operations"),
    )
}

VALIDATION = "val/"
PUBLISHED_METRIC = "val/mAP"
"""the published method keeps the epoch where it is best"""
EPOCH_METRICS = tuple(metric.name for metric in METRICS.values() if metric.measured == "epoch")
COST_METRICS = tuple(metric.name for metric in METRICS.values() if metric.measured == "student")
LEADING_METRICS = tuple(name for name in EPOCH_METRICS if METRICS[name].direction == "max")
"""can rank trials, stop them, and choose the epoch whose model is kept"""
TEST_METRICS = tuple(name.removeprefix(VALIDATION) for name in EPOCH_METRICS if METRICS[name].headline)
"""headline metrics as they are called on any other split"""


def _known(name: str) -> str:
    if name in METRICS:
        return name
    nearest = difflib.get_close_matches(name, METRICS, n=1)
    hint = f" (the nearest is {nearest[0]})" if nearest else ""
    raise ValueError(f"must be one of {', '.join(METRICS)}{hint}")


MetricName = Annotated[str, AfterValidator(_known)]
"""the name of a row of `METRICS`"""
