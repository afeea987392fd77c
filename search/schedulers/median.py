"""The median rule: a trial stops when its best epoch is below the median of the other trials' running means."""

from __future__ import annotations

import math
from typing import Any

from ray.tune.schedulers import MedianStoppingRule

from owkd.config import MedianSettings
from search.schedulers.reports import REPORT_FIELDS


class MedianRule(MedianStoppingRule):
    """Ray's rule, which also takes a curve without deciding on it, and advises: whoever goes on is judged again."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = str(super().on_trial_result(tune_controller, trial, result))
        self._stopped_trials.discard(trial)
        return decision

    def recall(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.on_trial_complete(tune_controller, trial, result)


def median_rule(scheduler: MedianSettings, longest: int) -> MedianRule:
    """Ray's rule as configured; how long a trial is at most does not matter to it."""
    never_waits: Any = math.inf  # a trial that has too few to be compared with continues
    return MedianRule(
        **REPORT_FIELDS,
        grace_period=scheduler.grace_epochs,
        min_samples_required=scheduler.min_trials,
        min_time_slice=never_waits,
    )


def describe_median(scheduler: MedianSettings) -> str:
    """What the rule does, for people."""
    grace, others = scheduler.grace_epochs, f"{scheduler.min_trials} or more others"
    return f"after {grace} epochs, a trial stops whose best one is below the median of the means of {others}"
