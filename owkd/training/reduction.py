"""How the epochs of one training become one number, and which of their models stands for it. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from owkd.config import COST_METRICS, PUBLISHED_METRIC, REDUCTION, MetricName

Metrics = Mapping[str, float]
"""of one epoch, by name"""

AVERAGED = 3
"""epochs that `auto` takes the mean of, and no more than half of those that were trained"""


@dataclass(frozen=True)
class EpochRule:
    """Which epoch of a training stands for it, and keeps its model.

    Only `best` keeps the model of its best epoch, whose figure is partly luck. Every other rule keeps the last epoch's,
    whose expected figure the mean over the last epochs estimates.

    Attributes:
        metric: compared between epochs; higher is better
        reduction: `auto`, `best`, `last`, or `mean of last n`
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

        `best`: all at the epoch where `metric` is highest, so that they belong to one model; otherwise the mean over as
        many of the last epochs as `averaged` says. A cost, which no epoch changes, is that of the kept model.
        """
        kept = epochs[self.best_index(epochs)]
        if self.reduction == "best":
            return {name: kept[name] for name in names}
        last = epochs[-averaged(self.reduction, len(epochs)) :]
        return {name: kept[name] if name in COST_METRICS else fmean(epoch[name] for epoch in last) for name in names}


BEST_MAP = EpochRule()
"""the published choice: the epoch with the best val/mAP"""


def averaged(reduction: str, trained: int) -> int:
    """Over how many of the last epochs a rule takes the mean, when so many were trained; 1 for `last` and `best`.

    `auto` takes three, or half of the epochs where fewer than six were trained, so that its mean is never one over a
    training's first, steep epochs.
    """
    if reduction == "auto":
        return min(AVERAGED, max(1, trained // 2))
    match = REDUCTION.fullmatch(reduction)
    assert match is not None
    return min(int(match[1] or 1), trained)


def in_words(reduction: str, shortest: int, longest: int) -> str:
    """A rule for people, and which model it keeps, for trainings of so many epochs."""
    if reduction == "best":
        return "best epoch, whose model is kept"
    fewest, most = averaged(reduction, shortest), averaged(reduction, longest)
    if most == 1:
        return "last epoch, whose model is kept"
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"mean of the last {number} epochs; the last one's model is kept"
