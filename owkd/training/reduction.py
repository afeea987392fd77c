"""How the epochs of one training become one number, and which of their models stands for it. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from owkd.config import REDUCTION

Metrics = Mapping[str, float]
"""of one epoch, by name"""


def best_epoch_index(reduction: str, values: Sequence[float]) -> int:
    """Index of the epoch whose model is kept: the highest value (the earliest of equals) for `best`, else the last."""
    if reduction == "best":
        return max(range(len(values)), key=lambda i: (values[i], -i))
    return len(values) - 1


def reduce_epochs(reduction: str, leading: str, epochs: Sequence[Metrics], names: Sequence[str]) -> dict[str, float]:
    """One number for each name, from the epochs of one training.

    `best`: all at the epoch where `leading` is highest, so that they belong to one model; `last`: at the last epoch;
    `mean of last n`: the mean over the last n, or over as many as there are.
    """
    found = REDUCTION.fullmatch(reduction)
    assert found is not None
    if found[1] is not None:
        return {name: fmean(epoch[name] for epoch in epochs[-int(found[1]) :]) for name in names}
    epoch = epochs[best_epoch_index(reduction, [epoch[leading] for epoch in epochs])]
    return {name: epoch[name] for name in names}
