"""Hyperband's brackets (Li et al. 2018) in asynchronous form.

Ray's synchronous one pauses trials until others have caught up, for which a worker would have to hand its place back.
"""

from __future__ import annotations

import hashlib
from typing import Any

from owkd.config import HalvingSettings
from search.schedulers.asha import asha_rule


class Brackets:
    """Hyperband's brackets: an ASHA each, bracket k with its first rung k rungs later.

    Hyperband gives every bracket the same budget (Li et al. 2018): one with h halvings ahead gets factor^h / (h + 1)
    of the trials. Which bracket a job is in depends on its key alone, so that it stays there after an interruption.
    """

    def __init__(self, scheduler: HalvingSettings, longest: int) -> None:
        factor = scheduler.reduction_factor
        starts = [0]
        while scheduler.grace_epochs * factor ** (starts[-1] + 1) < longest:
            starts.append(len(starts))
        self.brackets = [asha_rule(scheduler, longest, start) for start in starts]
        self.shares = [factor**halvings / (halvings + 1) for halvings in range(len(starts), 0, -1)]

    def of(self, key: str) -> Any:
        """The bracket of a job."""
        draw = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64 * sum(self.shares)
        for bracket, share in zip(self.brackets, self.shares, strict=True):
            draw -= share
            if draw < 0:
                return bracket
        return self.brackets[-1]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self.of(trial.trial_id).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> Any:
        return self.of(trial.trial_id).on_trial_result(tune_controller, trial, result)

    def debug_string(self) -> str:
        return "\n".join(str(bracket.debug_string()) for bracket in self.brackets)


def describe_hyperband(scheduler: HalvingSettings) -> str:
    """What the rule does, for people."""
    return f"as asha, in several brackets whose first look comes after {scheduler.grace_epochs} epochs or later"
