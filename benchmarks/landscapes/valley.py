"""A narrow valley that no axis runs along, over six numbers on log scales.

Meant to catch: searchers that model each number alone. Learning rates, weight decay and coefficients act together here;
across the valley a tenth of a range costs most of the worth, along it hardly anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from benchmarks.landscapes.contract import Landscape, RawSpace, Values, grown, growth, log10

DECADES = {
    "train.learning_rate": (-5, -1),
    "train.gce_learning_rate": (-5, -1),
    "train.weight_decay": (-6, -2),
    "distill.gram": (-6, -2),
    "distill.spectrum": (-6, -2),
    "distill.logit": (-4, 0),
}
PEAK, TAU = 0.85, 4.0
STEEPNESS = (0.5, 1.5, 4.0, 12.0, 36.0, 100.0)
"""by axis of the valley, with every range of length 1"""


@dataclass(frozen=True)
class Valley(Landscape):
    """Its lowest point and its axes, one a row, in shares of the ranges."""

    centre: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]

    space: ClassVar[RawSpace] = {
        path: {"type": "float", "low": 10.0**low, "high": 10.0**high, "log": True}
        for path, (low, high) in DECADES.items()
    }

    @classmethod
    def drawn(cls, seed: int) -> Self:
        rng = np.random.default_rng([seed, 2028])
        axes, _ = np.linalg.qr(rng.normal(size=(len(DECADES), len(DECADES))))
        centre = rng.uniform(0.25, 0.75, size=len(DECADES))
        return cls(seed=seed, centre=tuple(centre), axes=tuple(map(tuple, axes)))

    def true_curve(self, values: Values, fold: str = "Fold1") -> list[float]:
        ends = np.array(list(DECADES.values()))
        at = (np.array(log10(values, *DECADES)) - ends[:, 0]) / (ends[:, 1] - ends[:, 0])
        along = np.array(self.axes) @ (at - np.array(self.centre))
        asymptote = PEAK / (1 + float(np.array(STEEPNESS) @ along**2))
        return [asymptote * share for share in growth(self.epochs, TAU)]

    def optimum(self) -> float:
        return PEAK * grown(self.epochs, TAU)
