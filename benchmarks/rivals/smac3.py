"""SMAC3's multi-fidelity facade (Lindauer et al. 2022): random forests and Hyperband, its authors' choice for training.

It decides itself how far a trial trains: rungs a factor of three apart up to a full training. A setting that it takes
up again at a higher rung goes on from where it was, which costs only what is new. It knows conditions, and no
constraints. The number of trials that it is told, by which it sizes its initial design, is what fits into the budget.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    InCondition,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from smac import MultiFidelityFacade, Scenario
from smac.runhistory.dataclasses import TrialInfo, TrialValue

from benchmarks.landscapes import Landscape
from benchmarks.landscapes.contract import FACTOR, GRACE, MAP
from benchmarks.rivals.flat import FlatSpace
from benchmarks.rivals.virtual_time import Ask, Ended
from owkd.config import Config
from search.trials.budget import Budget

EPOCHS_A_TRIAL = 5
"""of Hyperband with three rungs up to 18 epochs, on average"""

REPEATS = 20
"""settings in a row that were trained to their end already; then this slot stays empty until another trial is over"""


class SmacSearcher:
    """The facade on one landscape with one objective."""

    def __init__(self, land: Landscape, config: Config) -> None:
        warnings.filterwarnings("ignore", module="smac")
        self._space = FlatSpace(config)
        longest = Budget.of(config).trial_steps
        self._longest = longest
        configurations = configuration_space(self._space, config, land.seed)
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            configurations,
            output_directory=Path(self._folder.name),
            deterministic=True,
            n_trials=land.budget * 18 // (EPOCHS_A_TRIAL * longest),
            min_budget=GRACE,
            max_budget=longest,
            seed=land.seed,
        )
        first = Configuration(configurations, values=active(configurations, self._space.published))
        self._facade = MultiFidelityFacade(
            scenario,
            _asked_not_called,
            initial_design=MultiFidelityFacade.get_initial_design(scenario, additional_configs=[first]),
            intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=FACTOR),
            overwrite=True,
            logging_level=logging.CRITICAL,
        )
        self._first: Configuration | None = first
        self._asked: dict[int, TrialInfo] = {}
        self._numbers: dict[Configuration, int] = {}
        self._over: dict[Configuration, TrialValue] = {}

    def ask(self, number: int) -> Ask | None:
        info = self._facade.ask()
        for _ in range(REPEATS):
            over = self._over.get(info.config)
            if over is None:
                break
            self._facade.tell(info, over, save=False)  # it went to its end: training on would say the same
            info = self._facade.ask()
        else:
            return None
        values = self._space.values(plain(info.config))
        until = min(self._longest, round(info.budget or self._longest))
        resumes = self._numbers.get(info.config)
        own = number if resumes is None else resumes
        self._numbers[info.config] = own
        self._asked[own] = info
        return Ask(values, None if until >= self._longest else until, resumes)

    def report(self, number: int, step: int, objective: float) -> bool:
        return True

    def tell(self, number: int, ended: Ended) -> None:
        info, value = self._asked.pop(number), TrialValue(cost=-ended.told[MAP])
        self._facade.tell(info, value, save=False)
        if ended.state in ("complete", "diverged"):
            self._over[info.config] = value


def configuration_space(space: FlatSpace, config: Config, seed: int) -> ConfigurationSpace:
    """Coordinates as ConfigSpace has them, with the conditions of our space."""
    found = ConfigurationSpace(seed=seed)
    published = space.published
    for name, known in space.distributions.items():
        match known:
            case CategoricalDistribution():
                found.add(CategoricalHyperparameter(name, list(known.choices), default_value=published[name]))
            case IntDistribution():
                found.add(UniformIntegerHyperparameter(name, known.low, known.high, log=known.log))
            case FloatDistribution():
                at = float(np.clip(published[name], known.low, known.high))
                found.add(UniformFloatHyperparameter(name, known.low, known.high, at, log=known.log))
    for path, entry in config.search.space.items():
        for parent, wanted in entry.when.items():
            found.add(InCondition(found[path], found[parent], list(wanted)))
    return found


def active(space: ConfigurationSpace, coordinates: dict[str, Any]) -> dict[str, Any]:
    """Of a setting's coordinates, those whose conditions hold."""
    conditions = {condition.child.name: condition for condition in space.conditions}
    return {
        name: value
        for name, value in coordinates.items()
        if name not in conditions or coordinates[conditions[name].parent.name] in conditions[name].values
    }


def plain(config: Configuration) -> dict[str, Any]:
    """Python's own numbers in place of NumPy's."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in dict(config).items()}


def _asked_not_called(config: Configuration, seed: int = 0, budget: float = 0) -> float:
    raise AssertionError("trainings are asked for")
