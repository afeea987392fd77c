"""How the epochs of one training become one number, and which of their models stands for it. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from owkd.config import PUBLISHED_METRIC, REDUCTION, MetricName

Metrics = Mapping[str, float]
"""of one epoch, by name"""


@dataclass(frozen=True)
class EpochRule:
    """Which epoch of a training stands for it, and keeps its model.

    Attributes:
        metric: compared between epochs; higher is better
        reduction: `best`, `last`, or `mean of last n`, whose model is the last one
    """

    metric: MetricName = PUBLISHED_METRIC
    reduction: str = "best"

    def best_index(self, epochs: Sequence[Metrics]) -> int:
        """Index of the epoch whose model is kept: the best one (the earliest of equals) for `best`, else the last."""
        if self.reduction == "best":
            return max(range(len(epochs)), key=lambda i: (epochs[i][self.metric], -i))
        return len(epochs) - 1

    def reduce(self, epochs: Sequence[Metrics], names: Sequence[str]) -> dict[str, float]:
        """One number for each name, from the epochs of one training.

        `best`: all at the epoch where `metric` is highest, so that they belong to one model; `last`: at the last epoch;
        `mean of last n`: the mean over the last n, or over as many as there are.
        """
        match = REDUCTION.fullmatch(self.reduction)
        assert match is not None
        if match[1] is not None:
            return {name: fmean(epoch[name] for epoch in epochs[-int(match[1]) :]) for name in names}
        epoch = epochs[self.best_index(epochs)]
        return {name: epoch[name] for name in names}


BEST_MAP = EpochRule()
"""the published choice: the epoch with the best val/mAP"""
