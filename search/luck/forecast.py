"""How far a training can still rise: a forecast from the curves of those that are complete.

By which factor they rose from a step to their end says what a trial under way may come to. The factors' logarithms are
taken for normal; of a trial like them, all but `ERROR` stay below what `highest` says (a prediction interval by
Student's t). Where early epochs tell little, or few trials are complete, that is so high that nothing is given up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

ERROR = 0.05
"""share of equal trainings that rise higher than `highest`"""
FEWEST = 4
"""complete trainings without which there is no forecast"""


class Rises:
    """The curves of complete trials: by step, what each was worth had it ended there; factors need worths above 0."""

    def __init__(self) -> None:
        self._curves: dict[int, list[Sequence[float]]] = {}

    def add(self, curve: Sequence[float]) -> None:
        """A complete trial, of which the last step says what it came to."""
        self._curves.setdefault(len(curve), []).append(curve)

    def highest(self, value: float, step: int, steps: int) -> float | None:
        """What a trial of so many steps can come to that is worth `value` after one of them; None if nobody can say.

        Only trials of the same length are asked.
        """
        alike = [curve for curve in self._curves.get(steps, ()) if curve[step - 1] > 0 and curve[-1] > 0]
        if len(alike) < FEWEST or value <= 0:
            return None
        rises = np.log([curve[-1] / curve[step - 1] for curve in alike])
        reach = stats.t.ppf(1 - ERROR, len(rises) - 1) * math.sqrt(1 + 1 / len(rises))
        return value * math.exp(float(rises.mean() + reach * rises.std(ddof=1)))
