"""The published method's own knobs: two simplexes, two loss coefficients and a learning rate on log scales.

Meant to catch: whether a searcher finds its way in what people search here every day. Curves differ in speed and cross:
a high learning rate is ahead early, declines again (overfitting) and from some rate on diverges, the later the nearer
to that rate.

τ: epochs to learn 63 % of the asymptote. Rates and coefficients of an instance are log10.
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
    STAGES,
    TEACHERS,
    Landscape,
    RawSpace,
    Values,
    log10,
    squared_distance,
)
from search.space import SIMPLEXES

PEAK = 0.85
OVERFITTING = 0.002
"""lost each epoch after 3 τ"""


@dataclass(frozen=True)
class Distillation(Landscape):
    """Coefficients, weights and a learning rate, with curves that cross."""

    teachers: tuple[float, ...]
    stages: tuple[float, ...]
    gram: float
    logit: float
    rate: float
    diverges_above: float

    space: ClassVar[RawSpace] = {
        TEACHERS: {"type": "simplex"},
        STAGES: {"type": "simplex"},
        **COEFFICIENTS,
    }
    objectives: ClassVar[tuple[dict[str, str], ...]] = ({"metric": "val/mAP", "reduction": "best"},)

    @classmethod
    def drawn(cls, seed: int) -> Self:
        rng = np.random.default_rng([seed, 2026])
        return cls(
            seed=seed,
            teachers=tuple(3 * rng.dirichlet([3.0] * 3)),
            stages=tuple(4 * rng.dirichlet([3.0] * 4)),
            gram=rng.uniform(-5.2, -2.8),
            logit=rng.uniform(-2.4, -0.6),
            rate=(rate := rng.uniform(-4.0, -2.5)),
            diverges_above=rate + rng.uniform(0.9, 1.1),
        )

    def true_curve(self, values: Values, fold: str = "Fold1") -> list[float]:
        rate, gram, logit = log10(values, RATE, GRAM, LOGIT)
        off = 0.15 * (rate - self.rate) ** 2 + 0.10 * (gram - self.gram) ** 2 + 0.10 * (logit - self.logit) ** 2
        off += 0.08 * squared_distance(values[TEACHERS], TEACHERS, self.teachers)
        off += 0.04 * squared_distance(values[STAGES], STAGES, self.stages)
        asymptote = PEAK * math.exp(-off)
        tau = 4 * 10 ** (-0.5 * (rate - self.rate)) * (1 + 0.3 * max(0.0, logit - self.logit))
        tau = min(max(tau, 1.0), 20.0)
        last = self.epochs
        if rate > self.diverges_above:
            last = min(last, int(6 * max(0.0, 1 - (rate - self.diverges_above))))
        return [
            asymptote * (1 - math.exp(-epoch / tau)) - OVERFITTING * max(0.0, epoch - 3 * tau)
            for epoch in range(1, last + 1)
        ]

    def optimum(self) -> float:
        """Rate and logit also set the speed, so that their best values are found on a fine grid."""
        best = {
            TEACHERS: dict(zip(SIMPLEXES[TEACHERS], self.teachers, strict=True)),
            STAGES: dict(zip(SIMPLEXES[STAGES], self.stages, strict=True)),
            GRAM: 10**self.gram,
        }
        return max(
            self.worth({**best, RATE: 10 ** (self.rate + dr), LOGIT: 10 ** (self.logit + dl)})
            for dr in np.arange(-0.5, 0.9, 0.01)
            for dl in np.arange(-0.2, 0.01, 0.01)
        )

    def curve(self, values: Values) -> list[float]:
        """Values of all epochs as the search's first training of a setting tells them."""
        return [metrics["val/mAP"] for metrics in self.told(values, self.folds[0], self.seed)]
