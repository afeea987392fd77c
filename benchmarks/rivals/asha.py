"""Ray's ASHA around any searcher, with the rungs that ours has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from benchmarks.landscapes.contract import FACTOR, GRACE
from owkd.config import Config
from search.trials.budget import Budget


class RayAsha:
    """`ray.tune.schedulers.ASHAScheduler` as its documentation has it."""

    def __init__(self, config: Config) -> None:
        self._rule: Any = ASHAScheduler(
            time_attr="step",
            metric="objective",
            mode="max",
            max_t=Budget.of(config).trial_steps,
            grace_period=GRACE,
            reduction_factor=FACTOR,
        )
        self._trials: dict[int, Any] = {}

    def goes_on(self, number: int, step: int, objective: float) -> bool:
        """Hears of an epoch -> whether the trial continues."""
        if number not in self._trials:
            self._trials[number] = SimpleNamespace(trial_id=str(number))
            self._rule.on_trial_add(None, self._trials[number])
        result = {"step": step, "objective": objective}
        return bool(self._rule.on_trial_result(None, self._trials[number], result) != TrialScheduler.STOP)
