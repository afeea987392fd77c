"""Tasks that want different weights of teachers and stages, in loud noise.

Meant to catch: searchers that believe single numbers. The worth is a sum of hills, one a task, of unequal height; its
maximum is near the highest hill, which the others pull at, and the noise of an epoch and the luck of a training hide
which hill is the higher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy.optimize import minimize

from benchmarks.landscapes.contract import (
    COEFFICIENTS,
    LOGIT,
    STAGES,
    TEACHERS,
    Landscape,
    RawSpace,
    Values,
    grown,
    growth,
    log10,
    squared_distance,
)
from search.space import SIMPLEXES

PEAK, TAU = 0.8, 4.0
WIDTHS = (0.30, 0.20)
"""how fast a task loses by squared distance of teachers' and stages' weights"""


@dataclass(frozen=True)
class Conflict(Landscape):
    """Three tasks: shares of the worth, and the weights that each wants."""

    shares: tuple[float, ...]
    teachers: tuple[tuple[float, ...], ...]
    stages: tuple[tuple[float, ...], ...]
    logit: float

    space: ClassVar[RawSpace] = {
        TEACHERS: {"type": "simplex"},
        STAGES: {"type": "simplex"},
        LOGIT: COEFFICIENTS[LOGIT],
    }
    epoch_noise = 0.02
    luck = 0.012

    @classmethod
    def drawn(cls, seed: int) -> Self:
        rng = np.random.default_rng([seed, 2027])
        return cls(
            seed=seed,
            shares=tuple(rng.permutation([0.45, 0.33, 0.22])),
            teachers=tuple(tuple(3 * rng.dirichlet([1.0] * 3)) for _ in range(3)),
            stages=tuple(tuple(4 * rng.dirichlet([1.0] * 4)) for _ in range(3)),
            logit=rng.uniform(-2.4, -0.6),
        )

    def true_curve(self, values: Values, fold: str = "Fold1") -> list[float]:
        (logit,) = log10(values, LOGIT)
        hills = sum(
            share
            * math.exp(
                -WIDTHS[0] * squared_distance(values[TEACHERS], TEACHERS, teachers)
                - WIDTHS[1] * squared_distance(values[STAGES], STAGES, stages)
            )
            for share, teachers, stages in zip(self.shares, self.teachers, self.stages, strict=True)
        )
        asymptote = PEAK * hills * math.exp(-0.15 * (logit - self.logit) ** 2)
        return [asymptote * share for share in growth(self.epochs, TAU)]

    def optimum(self) -> float:
        return PEAK * self._highest * grown(self.epochs, TAU)

    @cached_property
    def _highest(self) -> float:
        """The maximum of the hills: all of a sum of bells lie among their centres, from where it is climbed."""
        centres = np.array([[*t, *s] for t, s in zip(self.teachers, self.stages, strict=True)])
        sizes = len(SIMPLEXES[TEACHERS]), len(SIMPLEXES[STAGES])

        def height(mixture: np.ndarray) -> float:
            """Of a mixture of the centres, by its logits."""
            weights = np.exp(mixture - mixture.max())
            apart = (centres - weights / weights.sum() @ centres) ** 2
            off = WIDTHS[0] * apart[:, : sizes[0]].sum(axis=1) + WIDTHS[1] * apart[:, sizes[0] :].sum(axis=1)
            return float(np.array(self.shares) @ np.exp(-off))

        starts = np.random.default_rng(0).normal(0, 2, size=(16, len(centres)))
        found = (minimize(lambda at: -height(at), start, method="Nelder-Mead", tol=1e-9) for start in starts)
        return max(-float(result.fun) for result in found)
