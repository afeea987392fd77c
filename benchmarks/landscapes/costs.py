"""Two objectives and a constraint: quality against operations, and a student that must be quick enough.

Meant to catch: searchers that learn of several objectives from complete trials only, or chase what breaks the
constraint: quality rises with size far beyond what the latency allows.

What a set of settings is worth is the hypervolume that its feasible members dominate: val/mAP above 0 times decades of
operations below the largest student's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Self

import numpy as np

from benchmarks.landscapes.contract import (
    COEFFICIENTS,
    GRAM,
    LOGIT,
    MAP,
    RATE,
    Landscape,
    RawSpace,
    Values,
    grown,
    growth,
    log10,
)

PRESET, SIZE = "student.preset", "data.image_size"
OPERATIONS = {"nano": 0.1, "micro": 0.5, "tiny": 4.5, "small": 8.7}
"""10^9, of one image of 224 pixels"""
SIZES = range(96, 257, 32)
MOST = 1e9 * max(OPERATIONS.values()) * (max(SIZES) / 224) ** 2
"""operations of the largest student"""
LATENCY = 6.0
PEAK, TAU = 0.9, 4.0


@dataclass(frozen=True)
class Costs(Landscape):
    """How quality rises with operations, and the rest's best values (log10); larger students want lower rates."""

    saturation: float
    gram: float
    logit: float
    rate: float

    space: ClassVar[RawSpace] = {
        PRESET: {"type": "categorical", "choices": list(OPERATIONS)},
        SIZE: {"type": "int", "low": min(SIZES), "high": max(SIZES), "step": 32},
        **COEFFICIENTS,
    }
    objectives: ClassVar[tuple[dict[str, str], ...]] = ({"metric": MAP}, {"metric": "flops"})
    constraints = (f"latency_ms <= {LATENCY}",)

    @classmethod
    def drawn(cls, seed: int) -> Self:
        rng = np.random.default_rng([seed, 2032])
        return cls(
            seed=seed,
            saturation=rng.uniform(0.3, 0.9),
            gram=rng.uniform(-5.2, -2.8),
            logit=rng.uniform(-2.4, -0.6),
            rate=rng.uniform(-3.5, -2.5),
        )

    def true_curve(self, values: Values, fold: str = "Fold1") -> list[float]:
        gram, logit, rate = log10(values, GRAM, LOGIT, RATE)
        decades = math.log10(MOST / _flops(values))
        off = 0.15 * (rate - self.rate - 0.3 * decades) ** 2
        off += 0.10 * (gram - self.gram) ** 2 + 0.10 * (logit - self.logit) ** 2
        return [self._height(decades) * math.exp(-off) * share for share in growth(self.epochs, TAU)]

    def costs(self, values: Values) -> dict[str, float]:
        flops = _flops(values)
        return {"flops": flops, "latency_ms": 1.0 + 1.6 * (flops / 1e9) ** 0.8}

    def set_worth(self, settings: Sequence[Values]) -> float:
        truths = [truth for values in settings if (truth := self.truth(values)) is not None]
        return hypervolume(
            (truth[MAP], math.log10(MOST / truth["flops"])) for truth in truths if truth["latency_ms"] <= LATENCY
        )

    def optimum(self) -> float:
        students = [{PRESET: preset, SIZE: size} for preset, size in product(OPERATIONS, SIZES)]
        allowed = [student for student in students if self.costs(student)["latency_ms"] <= LATENCY]
        decades = [math.log10(MOST / _flops(student)) for student in allowed]
        return hypervolume((self._height(off) * grown(self.epochs, TAU), off) for off in decades)

    def _height(self, decades: float) -> float:
        """Of a student with so many decades of operations less than the largest."""
        return PEAK * math.exp(-0.12 * math.pow(decades, 1 + self.saturation))


def _flops(values: Values) -> float:
    return 1e9 * OPERATIONS[values[PRESET]] * float(values[SIZE] / 224) ** 2


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """The area that points dominate above (0, 0)."""
    area, reached = 0.0, 0.0
    for first, second in sorted(points, reverse=True):
        if first > 0 and second > reached:
            area += first * (second - reached)
            reached = second
    return area
