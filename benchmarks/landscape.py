"""Trainings that are formulas: learning curves with a known optimum, for comparing searchers in minutes.

Shaped like what a search meets here: two simplexes, two loss coefficients and a learning rate on log scales. Curves
differ in speed and cross: a high learning rate is ahead early, declines again (overfitting) and from some rate on
diverges, the later the nearer to that rate. Every epoch is noisy, and every training has its luck; both hang on the
instance and the values alone, so that whoever proposes the same values gets the same numbers.

τ: epochs to learn 63 % of the asymptote. Rates and coefficients of an instance are log10.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from owkd.config import Config
from owkd.errors import DivergedError
from search.space import SIMPLEXES

TEACHERS, STAGES = "distill.teacher_weights", "distill.stage_weights"
GRAM, LOGIT, RATE = "distill.gram", "distill.logit", "train.learning_rate"
SPACE: dict[str, dict[str, Any]] = {
    TEACHERS: {"type": "simplex"},
    STAGES: {"type": "simplex"},
    GRAM: {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    LOGIT: {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
    RATE: {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
}

PEAK = 0.85
EPOCH_NOISE = 0.008
LUCK = 0.004
OVERFITTING = 0.002
"""lost each epoch after 3 τ"""


@dataclass(frozen=True)
class Epoch:
    """As `owkd.training.loop.Epoch`, without importing torch."""

    fold: str
    seed: int
    epoch: int
    metrics: dict[str, float]
    replayed: bool = False
    note: str = ""


@dataclass(frozen=True)
class Landscape:
    """One problem: where its optimum lies is drawn from its seed."""

    seed: int
    epochs: int
    teachers: tuple[float, ...]
    stages: tuple[float, ...]
    gram: float
    logit: float
    rate: float
    diverges_above: float

    @classmethod
    def drawn(cls, seed: int, epochs: int) -> Landscape:
        """The problem of a seed."""
        rng = np.random.default_rng([seed, 2026])
        return cls(
            seed=seed,
            epochs=epochs,
            teachers=tuple(3 * rng.dirichlet([3.0] * 3)),
            stages=tuple(4 * rng.dirichlet([3.0] * 4)),
            gram=rng.uniform(-5.2, -2.8),
            logit=rng.uniform(-2.4, -0.6),
            rate=(rate := rng.uniform(-4.0, -2.5)),
            diverges_above=rate + rng.uniform(0.9, 1.1),
        )

    def true_curve(self, values: Mapping[str, Any]) -> list[float]:
        """Values of all epochs without noise; it ends where the training diverges."""
        rate, gram, logit = (math.log10(values[name]) for name in (RATE, GRAM, LOGIT))
        off = 0.15 * (rate - self.rate) ** 2 + 0.10 * (gram - self.gram) ** 2 + 0.10 * (logit - self.logit) ** 2
        off += 0.08 * _distance(values[TEACHERS], TEACHERS, self.teachers)
        off += 0.04 * _distance(values[STAGES], STAGES, self.stages)
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

    def worth(self, values: Mapping[str, Any]) -> float:
        """What a setting is truly worth: its best epoch without noise; 0 when it diverges."""
        curve = self.true_curve(values)
        return max(curve) if len(curve) == self.epochs else 0.0

    def optimum(self) -> float:
        """The highest worth. Rate and logit also set the speed, so that their best values are found on a fine grid."""
        best = {
            TEACHERS: dict(zip(SIMPLEXES[TEACHERS], self.teachers, strict=True)),
            STAGES: dict(zip(SIMPLEXES[STAGES], self.stages, strict=True)),
            GRAM: 10**self.gram,
        }
        steps = np.arange(-0.5, 0.9, 0.01)
        return max(
            self.worth({**best, RATE: 10 ** (self.rate + dr), LOGIT: 10 ** (self.logit + dl)})
            for dr in steps
            for dl in np.arange(-0.2, 0.01, 0.01)
        )

    def curve(self, values: Mapping[str, Any]) -> list[float]:
        """Values of all epochs as a training tells them: with noise, and NaN as the last where it diverges."""
        text = json.dumps([self.seed, {name: values[name] for name in SPACE}], sort_keys=True)
        rng = np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))
        luck = rng.normal(0, LUCK)
        told = [value + luck + rng.normal(0, EPOCH_NOISE) for value in self.true_curve(values)]
        return told if len(told) == self.epochs else [*told, math.nan]


def _distance(weights: Any, path: str, optimum: tuple[float, ...]) -> float:
    """Squared distance of weights from their optimum; learned ones count as equal."""
    parts = [weights[name] if isinstance(weights, Mapping) else 1.0 for name in SIMPLEXES[path]]
    return sum((part - best) ** 2 for part, best in zip(parts, optimum, strict=True))


def train(
    config: Config,
    report: Callable[[Any], None] | None = None,
    *,
    fold: str,
    directory: Path,
    seed: int | None = None,
) -> Any:
    """A training on the landscape of `train.seed`, as a search calls it."""
    tree = config.to_dict()
    values = {path: tree[section][name] for path in SPACE for section, name in [path.split(".")]}
    for epoch, value in enumerate(Landscape.drawn(config.train.seed, config.train.epochs).curve(values), start=1):
        if math.isnan(value):
            raise DivergedError(f"val/mAP must be finite, but is not in epoch {epoch}")
        if report is not None:
            report(Epoch(fold, config.train.seed, epoch, {"val/mAP": value}))
