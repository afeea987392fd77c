"""What every landscape promises: a space as our configuration has it, curves told with noise, and their truth.

A training tells each epoch with noise, and has its luck; both hang on the training's seed, its fold and its values
alone, so that whoever proposes the same values gets the same numbers, and a further look at them, with another seed,
others. One that diverges tells NaN as its last epoch. The truth is the same without noise, reduced over epochs and
folds as the search reduces them.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Self, get_args

import numpy as np

from owkd.config import Config, SchedulerConfig
from owkd.errors import DivergedError
from owkd.training.reduction import EpochRule, Metrics
from search.space import SIMPLEXES, Space, is_searched, parents_first, parse_search_config

RawSpace = dict[str, dict[str, Any]]
Values = Mapping[str, Any]
"""a setting: by dotted path, the entries whose conditions hold"""
MAP = "val/mAP"
TEACHERS, STAGES = "distill.teacher_weights", "distill.stage_weights"
GRAM, LOGIT, RATE = "distill.gram", "distill.logit", "train.learning_rate"
COEFFICIENTS: RawSpace = {
    GRAM: {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    LOGIT: {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
    RATE: {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
}
"""what several landscapes search beside weights"""
SLOTS, GRACE, FACTOR = 2, 2, 3
FULL_TRAININGS = 15
"""the budget of a search, in trainings to their end on every fold"""


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
class Landscape(ABC):
    """One problem: where its optimum lies is drawn from its seed.

    Attributes:
        space: as `search.space` has it
        epochs: of a full training on one fold
        folds: a trial trains on each of them
        objectives: as `search.objectives` has them
        constraints: as `search.constraints` has them
        epoch_noise: standard deviation of an epoch's val/mAP
        luck: the same of what a whole training on a fold is off by
    """

    seed: int

    space: ClassVar[RawSpace]
    epochs: ClassVar[int] = 18
    folds: ClassVar[tuple[str, ...]] = ("Fold1",)
    objectives: ClassVar[tuple[dict[str, str], ...]] = ({"metric": MAP},)
    constraints: ClassVar[tuple[str, ...]] = ()
    epoch_noise: ClassVar[float] = 0.008
    luck: ClassVar[float] = 0.004

    @classmethod
    @abstractmethod
    def drawn(cls, seed: int) -> Self:
        """The problem of a seed."""

    @abstractmethod
    def true_curve(self, values: Values, fold: str) -> list[float]:
        """val/mAP of all epochs on one fold without noise; it ends where the training diverges."""

    @abstractmethod
    def optimum(self) -> float:
        """The highest worth; with several objectives, the hypervolume of the best set."""

    def costs(self, values: Values) -> dict[str, float]:
        """Metrics that no epoch changes."""
        return {}

    def truth(self, values: Values) -> dict[str, float] | None:
        """What a setting is truly worth, by metric: the mean over its folds; None when it diverges."""
        curves = [self.true_curve(values, fold) for fold in self.folds]
        if any(len(curve) < self.epochs for curve in curves):
            return None
        rule = EpochRule(MAP, self.objectives[0].get("reduction", "auto"))
        reduced = [rule.reduce([{MAP: value} for value in curve], (MAP,))[MAP] for curve in curves]
        return {MAP: fmean(reduced), **self.costs(values)}

    def worth(self, values: Values) -> float:
        """val/mAP of the truth; 0 when it diverges."""
        return (self.truth(values) or {MAP: 0.0})[MAP]

    def set_worth(self, settings: Sequence[Values]) -> float:
        """What several settings are worth together, where there are several objectives."""
        raise NotImplementedError

    def told(self, values: Values, fold: str, seed: int) -> list[dict[str, float]]:
        """Metrics of all epochs as a training tells them: with noise, and NaN as the last where it diverges."""
        named = {name: values[name] for name in self.space if name in values}
        key = [seed, named, fold] if len(self.folds) > 1 else [seed, named]
        rng = np.random.default_rng(list(hashlib.sha256(json.dumps(key, sort_keys=True).encode()).digest()))
        luck = rng.normal(0, self.luck)
        curve = [value + luck + rng.normal(0, self.epoch_noise) for value in self.true_curve(values, fold)]
        if len(curve) < self.epochs:
            curve.append(math.nan)
        costs = self.costs(values)
        return [{MAP: value, **costs} for value in curve]

    def train(
        self,
        config: Config,
        report: Callable[[Any], None] | None = None,
        *,
        fold: str,
        directory: Path,
        seed: int | None = None,
    ) -> Any:
        """A training as a search calls it."""
        seed = config.train.seed if seed is None else seed
        for number, metrics in enumerate(self.told(self.values_of(config), fold, seed), start=1):
            if math.isnan(metrics[MAP]):
                raise DivergedError(f"{MAP} must be finite, but is not in epoch {number}")
            if report is not None:
                report(Epoch(fold, seed, number, dict(metrics)))

    def values_of(self, config: Config) -> dict[str, Any]:
        """The setting that a training's configuration says."""
        tree, space = config.to_dict(), _space_of(type(self))
        found: dict[str, Any] = {}
        for path in parents_first(space):
            if is_searched(space[path], found):
                section, _, name = path.partition(".")
                found[path] = tree[section][name]
        return {path: found[path] for path in space if path in found}

    @classmethod
    def configuration(cls, seed: int, sampler: str = "auto", scheduler: str = "asha") -> Config:
        """The search of a seed's problem as a configuration of ours."""
        return parse_search_config(
            {
                "name": "bench",
                "data": {"root": "none", "dataset": "none", "folds": list(cls.folds)},
                "train": {"epochs": cls.epochs, "seed": seed},
                "search": {
                    "trials": 10_000,
                    "max_failures": 0,
                    "sampler": {"name": sampler, "seed": seed},
                    "scheduler": _scheduler_section(scheduler),
                    "objectives": list(cls.objectives),
                    "constraints": list(cls.constraints),
                    "resources": {"cpu": 1, "gpu": 0},
                    "space": cls.space,
                },
            }
        )

    @property
    def budget(self) -> int:
        """Epochs of a whole search."""
        return FULL_TRAININGS * self.epochs * len(self.folds)


@cache
def _space_of(landscape: type[Landscape]) -> Space:
    return landscape.configuration(0).search.space


def _scheduler_section(name: str) -> dict[str, Any]:
    """Of a kind, with the rungs that all rivals have where it has any."""
    kinds = get_args(get_args(SchedulerConfig)[0])
    fields = next(kind.model_fields for kind in kinds if kind.model_fields["name"].default == name)
    rungs = {"grace_epochs": GRACE, "reduction_factor": FACTOR}
    return {"name": name, **{field: value for field, value in rungs.items() if field in fields}}


def squared_distance(weights: Any, path: str, optimum: Sequence[float]) -> float:
    """Of weights of a simplex from their optimum; learned ones count as equal."""
    parts = [weights[name] if isinstance(weights, Mapping) else 1.0 for name in SIMPLEXES[path]]
    return sum((part - best) ** 2 for part, best in zip(parts, optimum, strict=True))


def growth(epochs: int, tau: float) -> list[float]:
    """The share of its asymptote that a training has learned after each epoch: `1 - exp(-epoch / tau)`."""
    return [1 - math.exp(-epoch / tau) for epoch in range(1, epochs + 1)]


def grown(epochs: int, tau: float) -> float:
    """The same of a whole training, as the default reduction has it."""
    rule = EpochRule(MAP, "auto")
    curve: list[Metrics] = [{MAP: value} for value in growth(epochs, tau)]
    return rule.reduce(curve, (MAP,))[MAP]


def log10(values: Values, *paths: str) -> list[float]:
    """Decades of values on log scales."""
    return [math.log10(values[path]) for path in paths]
