"""Early leaders that lose: what learns fast ends low, and what ends high is behind at every rung but the last.

Meant to catch: schedulers that stop by where a curve is, and models that take a stopped trial for what it had reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    growth,
    log10,
    squared_distance,
)
from search.space import SIMPLEXES

PEAK = 0.92


@dataclass(frozen=True)
class Deceptive(Landscape):
    """A learning rate that trades speed for height, beside what only sets the height. Numbers are log10."""

    teachers: tuple[float, ...]
    gram: float
    logit: float
    rate: float

    space: ClassVar[RawSpace] = {
        TEACHERS: {"type": "simplex"},
        **COEFFICIENTS,
    }

    @classmethod
    def drawn(cls, seed: int) -> Self:
        rng = np.random.default_rng([seed, 2029])
        return cls(
            seed=seed,
            teachers=tuple(3 * rng.dirichlet([3.0] * 3)),
            gram=rng.uniform(-5.2, -2.8),
            logit=rng.uniform(-2.4, -0.6),
            rate=rng.uniform(-4.0, -3.0),
        )

    def true_curve(self, values: Values, fold: str = "Fold1") -> list[float]:
        rate, gram, logit = log10(values, RATE, GRAM, LOGIT)
        faster = rate - self.rate
        off = 0.3 * max(0.0, faster) + 0.08 * (gram - self.gram) ** 2 + 0.08 * (logit - self.logit) ** 2
        off += 0.08 * squared_distance(values[TEACHERS], TEACHERS, self.teachers)
        tau = min(max(6 * 10 ** (-0.5 * faster), 1.0), 40.0)
        return [PEAK * math.exp(-off) * share for share in growth(self.epochs, tau)]

    def optimum(self) -> float:
        """Only the rate is not at its own best value, which is found on a fine grid."""
        best = {
            TEACHERS: dict(zip(SIMPLEXES[TEACHERS], self.teachers, strict=True)),
            GRAM: 10**self.gram,
            LOGIT: 10**self.logit,
        }
        return max(self.worth({**best, RATE: 10 ** (self.rate + step)}) for step in np.arange(-0.5, 1.0, 0.001))
