"""Optuna's own samplers by ask and tell, over our space as Optuna draws it.

As its documentation has it: defaults, intermediate values reported, and the published setting enqueued first. A trial
that diverged is told the worst value there is, since a NaN teaches nothing. `stopped_as` says what a trial counts as
that ASHA stopped: PRUNED, as Optuna's own pruners leave it, or complete with what it had reached, as Ray's
`OptunaSearch` tells it. Samplers that do not learn from pruned trials get the second; so do all with several
objectives, for which Optuna has no pruned trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from benchmarks.landscapes import Landscape
from benchmarks.rivals.virtual_time import Ask, Ended
from owkd.config import Config
from search.space import published_point, suggest
from search.trials.objective import violations

StoppedAs = Literal["pruned", "value"]


def tpe(seed: int) -> BaseSampler:
    """Optuna's default."""
    return TPESampler(seed=seed)


def gp(seed: int) -> BaseSampler:
    """Its Gaussian process."""
    return GPSampler(seed=seed, warn_independent_sampling=False)


def cmaes(seed: int) -> BaseSampler:
    """Its CMA-ES."""
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def random(seed: int) -> BaseSampler:
    """Independent draws."""
    return RandomSampler(seed=seed)


class OptunaSearcher:
    """A sampler of Optuna's on one landscape."""

    def __init__(
        self, land: Landscape, config: Config, *, sampler: Callable[[int], BaseSampler], stopped_as: StoppedAs
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
        self._search = config.search
        self._stopped_as = "value" if len(config.search.objectives) > 1 else stopped_as
        maximized = [goal.direction == "max" for goal in config.search.objectives]
        directions = [StudyDirection.MAXIMIZE if each else StudyDirection.MINIMIZE for each in maximized]
        self._study = optuna.create_study(directions=directions, sampler=sampler(land.seed))
        self._study.enqueue_trial(published_point(config).params)
        self._trials: dict[int, Trial] = {}

    def ask(self, number: int) -> Ask:
        trial = self._trials[number] = self._study.ask()
        return Ask(suggest(trial, self._search.space))

    def report(self, number: int, step: int, objective: float) -> bool:
        if len(self._search.objectives) == 1:
            self._trials[number].report(objective, step)
        return True

    def tell(self, number: int, ended: Ended) -> None:
        trial = self._trials.pop(number)
        if ended.state == "stopped" and self._stopped_as == "pruned":
            self._study.tell(trial, state=TrialState.PRUNED)
            return
        for name, missed in violations(self._search, ended.told).items():
            trial.set_constraint(name, missed)
        self._study.tell(trial, [ended.told[goal.metric] for goal in self._search.objectives])
