"""Syne Tune's ASHA with conformal quantile regression (Salinas et al. 2023), its own authors' latest method, and BOHB.

The MOBSTER of earlier versions is in 0.16 no more. Its schedulers decide themselves which trials stop, at the rungs
that all have; they know neither conditions nor constraints: entries with a condition are searched in every trial.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, loguniform, randint, uniform
from syne_tune.optimizer.baselines import ASHACQR, BOHB
from syne_tune.optimizer.scheduler import SchedulerDecision

from benchmarks.landscapes import Landscape
from benchmarks.landscapes.contract import FACTOR, GRACE, MAP
from benchmarks.rivals.flat import FlatSpace
from benchmarks.rivals.virtual_time import Ask, Ended
from owkd.config import Config
from search.trials.budget import Budget

METRIC, STEP = "objective", "step"
METHODS: dict[str, Callable[..., Any]] = {"CQR": ASHACQR, "BOHB": BOHB}


class SyneTuneSearcher:
    """One of its multi-fidelity methods on one landscape with one objective."""

    def __init__(self, land: Landscape, config: Config, *, method: str) -> None:
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        np.random.seed(land.seed)
        self._space = FlatSpace(config)
        self._scheduler = METHODS[method](
            config_space={name: _domain(known) for name, known in self._space.distributions.items()},
            metric=METRIC,
            time_attr=STEP,
            max_t=Budget.of(config).trial_steps,
            do_minimize=False,
            random_seed=land.seed,
            grace_period=GRACE,
            reduction_factor=FACTOR,
            points_to_evaluate=[self._space.published],
        )
        self._trials: dict[int, Trial] = {}

    def ask(self, number: int) -> Ask:
        suggestion = self._scheduler.suggest()
        assert suggestion is not None
        trial = self._trials[number] = Trial(number, suggestion.config, datetime.now(UTC))
        self._scheduler.on_trial_add(trial)
        return Ask(self._space.values(trial.config))

    def report(self, number: int, step: int, objective: float) -> bool:
        result = {METRIC: objective, STEP: step}
        return bool(self._scheduler.on_trial_result(self._trials[number], result) != SchedulerDecision.STOP)

    def tell(self, number: int, ended: Ended) -> None:
        trial = self._trials.pop(number)
        if ended.state == "diverged":
            self._scheduler.on_trial_result(trial, {METRIC: ended.told[MAP], STEP: ended.step})
        self._scheduler.on_trial_remove(trial)


def _domain(known: Any) -> Any:
    match known:
        case CategoricalDistribution():
            return choice(list(known.choices))
        case IntDistribution():
            return randint(known.low, known.high)
        case FloatDistribution():
            return loguniform(known.low, known.high) if known.log else uniform(known.low, known.high)
