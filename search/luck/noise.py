"""How much of a trial's figure is luck: the noise of one training, from trials that are complete.

A value is one training of a setting on one part (a fold with a seed): value = setting + part + luck. What is left of
the values when both are taken out (analysis of variance of two factors without interaction) is luck, and so is the
difference between looks at one setting with other seeds. The two are independent and are pooled.

Only the better half of the settings is asked: what matters is the luck of good ones, and a setting that learns nothing
knows no difference between folds. The half is chosen by means over parts, of which the residuals are independent.

rows: a trial each, its value on each of its parts, in the order of training. points: the setting of each trial.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = Sequence[Sequence[float]]
FEWEST = 3
"""trials of which the better half is taken at least; with all of fewer, nothing would be left of two parts"""


@dataclass(frozen=True)
class Noise:
    """The luck of one training on one part.

    Attributes:
        sd: standard deviation
        degrees: of freedom that it rests on
        effects: by part, how much easier than the mean over parts; they sum to 0
    """

    sd: float
    degrees: int
    effects: tuple[float, ...]


def noise_of(rows: Rows, points: Sequence[Hashable]) -> Noise | None:
    """The noise; None where it cannot be told: one part, and no setting that was looked at twice."""
    values = _better_half(rows, points)
    if not values:
        return None
    table = np.array([row for looks in values for row in looks], dtype=float)
    trials, parts = table.shape
    means = table.mean(axis=1)
    effects = table.mean(axis=0) - table.mean()
    residuals = table - means[:, None] - effects
    repeats = [np.array([np.mean(row) for row in looks]) for looks in values]
    degrees = (trials - 1) * (parts - 1) + sum(len(looks) - 1 for looks in values)
    if degrees < 1:
        return None
    squares = float((residuals**2).sum()) + parts * sum(float(((each - each.mean()) ** 2).sum()) for each in repeats)
    return Noise((squares / degrees) ** 0.5, degrees, tuple(effects.tolist()))


def noise_in_words(noise: Noise | None) -> str:
    """One line for people."""
    if noise is None:
        return "noise of one training: not known (it takes several folds or seeds, or a second look at a setting)"
    return f"noise of one training: {noise.sd:.2g} (from {noise.degrees} residuals)"


def _better_half(rows: Rows, points: Sequence[Hashable]) -> list[list[NDArray[np.float64]]]:
    """The looks at each of the better settings; of trials with as many parts as the most have."""
    parts = max(map(len, rows), default=0)
    if parts == 0:
        return []
    looks: dict[Hashable, list[NDArray[np.float64]]] = {}
    for row, point in zip(rows, points, strict=True):
        if len(row) == parts:
            looks.setdefault(point, []).append(np.asarray(row, dtype=float))
    ordered = sorted(looks.values(), key=lambda own: -float(np.mean(own)))
    return ordered[: max(FEWEST, (len(ordered) + 1) // 2)]
