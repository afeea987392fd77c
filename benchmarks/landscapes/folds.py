"""Three folds of unequal difficulty that want different things.

Meant to catch: searchers that take a trial stopped on the first, easy fold for as good as a complete one, and rules
that stop by one fold what the others would have liked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar, Self

import numpy as np

from benchmarks.landscapes.contract import (
    COEFFICIENTS,
    GRAM,
    LOGIT,
    RATE,
    TEACHERS,
    Landscape,
    RawSpace,
    Values,
    grown,
    growth,
    log10,
    squared_distance,
)

PEAK, TAU = 0.85, 2.5
DIFFICULTY = {"Fold1": 1.0, "Fold2": 0.7, "Fold3": 0.5}
"""what is left of the worth on each fold"""
STEEPNESS = 0.12


@dataclass(frozen=True)
class Folds(Landscape):
    """The same but for the best coefficient of the flow matrices, which differs by fold. Numbers are log10."""

    teachers: tuple[float, ...]
    grams: tuple[float, ...]
    logit: float
    rate: float

    space: ClassVar[RawSpace] = {
        TEACHERS: {"type": "simplex"},
        **COEFFICIENTS,
    }
    epochs = 9
    folds = tuple(DIFFICULTY)
    luck = 0.01

    @classmethod
    def drawn(cls, seed: int) -> Self:
        rng = np.random.default_rng([seed, 2031])
        gram = rng.uniform(-4.8, -3.2)
        return cls(
            seed=seed,
            teachers=tuple(3 * rng.dirichlet([3.0] * 3)),
            grams=tuple(gram + rng.uniform(-0.8, 0.8, size=3)),
            logit=rng.uniform(-2.4, -0.6),
            rate=rng.uniform(-4.0, -2.5),
        )

    def true_curve(self, values: Values, fold: str) -> list[float]:
        rate, gram, logit = log10(values, RATE, GRAM, LOGIT)
        off = 0.15 * (rate - self.rate) ** 2 + 0.10 * (logit - self.logit) ** 2
        off += 0.08 * squared_distance(values[TEACHERS], TEACHERS, self.teachers)
        asymptote = PEAK * math.exp(-off) * self._share(fold, gram)
        return [asymptote * share for share in growth(self.epochs, TAU)]

    def optimum(self) -> float:
        """Only one number is wanted differently; the best compromise is found on a fine grid."""
        steps = np.arange(min(self.grams), max(self.grams), 1e-4)
        best = max(fmean(self._share(fold, gram) for fold in self.folds) for gram in steps)
        return PEAK * best * grown(self.epochs, TAU)

    def _share(self, fold: str, gram: float) -> float:
        wanted = self.grams[self.folds.index(fold)]
        return DIFFICULTY[fold] * math.exp(-STEEPNESS * (gram - wanted) ** 2)
