"""Twelve parameters: numbers, choices, and entries that exist under a choice only.

Meant to catch: searchers that cannot see an entry with a condition, or a choice, inside their model, and those that get
lost among twelve. Each of twelve branches has its own best learning rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np

from benchmarks.landscapes.contract import Landscape, RawSpace, Values, grown, growth, log10

RATE, GCE_RATE, DECAY = "train.learning_rate", "train.gce_learning_rate", "train.learning_rate_decay"
BATCH, GROUP, MARGIN = "train.batch_size", "train.images_per_identity", "train.triplet_margin"
WEIGHT_DECAY, GCE_WEIGHT_DECAY = "train.weight_decay", "train.gce_weight_decay"
GRAM, SPECTRUM, LOGIT, TEMPERATURE = "distill.gram", "distill.spectrum", "distill.logit", "distill.temperature"
DECAYS, BATCHES, GROUPS = ("none", "cosine"), (8, 16, 32), (2, 4)
PEAK = 0.85
Branch = tuple[str, int, int]
"""learning rate decay, batch size, images of an identity"""
TAUS = {"none": 3.5, "cosine": 5.0}
SLOPES = {
    RATE: 0.20,
    GCE_RATE: 0.05,
    WEIGHT_DECAY: 0.02,
    GCE_WEIGHT_DECAY: 0.03,
    MARGIN: 0.50,
    GRAM: 0.08,
    SPECTRUM: 0.04,
    LOGIT: 0.08,
    TEMPERATURE: 0.60,
}
"""lost by the square of how far a number is off, in decades"""


def _log(low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, "log": True, **more}


@dataclass(frozen=True)
class Conditional(Landscape):
    """Best values of the numbers (log10), and what each choice costs. A branch shifts the best learning rate."""

    best: dict[str, float]
    cost: dict[Branch, float]
    shift: dict[Branch, float]

    space: ClassVar[RawSpace] = {
        RATE: _log(1e-5, 1e-1),
        GCE_RATE: _log(1e-5, 1e-1),
        DECAY: {"type": "categorical", "choices": list(DECAYS)},
        BATCH: {"type": "categorical", "choices": list(BATCHES)},
        GROUP: {"type": "categorical", "choices": list(GROUPS)},
        MARGIN: _log(0.1, 3.0, when={GROUP: 4}),
        WEIGHT_DECAY: _log(1e-6, 1e-2),
        GCE_WEIGHT_DECAY: _log(1e-5, 1e-1, when={DECAY: "cosine"}),
        GRAM: _log(1e-6, 1e-2),
        SPECTRUM: _log(1e-6, 1e-2),
        LOGIT: _log(1e-3, 1.0),
        TEMPERATURE: _log(0.5, 8.0, when={DECAY: "none"}),
    }

    @classmethod
    def drawn(cls, seed: int) -> Self:
        rng = np.random.default_rng([seed, 2030])
        best = {}
        for path in SLOPES:
            low, high = (math.log10(cls.space[path][end]) for end in ("low", "high"))
            best[path] = rng.uniform(low + 0.25 * (high - low), high - 0.25 * (high - low))
        branches: list[Branch] = list(product(DECAYS, BATCHES, GROUPS))
        cost = {branch: rng.uniform(0.0, 0.3) for branch in branches}
        shift = {branch: rng.uniform(-0.4, 0.4) for branch in branches}
        return cls(seed=seed, best=best, cost=cost, shift=shift)

    def true_curve(self, values: Values, fold: str = "Fold1") -> list[float]:
        branch = values[DECAY], values[BATCH], values[GROUP]
        off = self.cost[branch]
        for path, slope in SLOPES.items():
            if path in values:
                best = self.best[path] + (self.shift[branch] if path == RATE else 0.0)
                off += slope * (log10(values, path)[0] - best) ** 2
        return [PEAK * math.exp(-off) * share for share in growth(self.epochs, TAUS[values[DECAY]])]

    def optimum(self) -> float:
        return max(PEAK * math.exp(-cost) * grown(self.epochs, TAUS[decay]) for (decay, *_), cost in self.cost.items())
