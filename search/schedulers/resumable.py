"""What stops a trial before its last epoch: Ray's schedulers, told what trials of earlier drivers reported.

| name      | a trial stops when                                                                              |
|-----------|-------------------------------------------------------------------------------------------------|
| asha      | at a rung it is not among the best 1/reduction_factor of those that reached the rung            |
| hyperband | the same, in several brackets with later and later first rungs                                  |
| median    | its best epoch is below the median of the other trials' running means                           |
| none      | never                                                                                           |

`hyperband` is the asynchronous form (Li et al. 2020, with Hyperband's brackets): Ray's synchronous one pauses trials
until others have caught up, for which a worker would have to hand its place back.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from owkd.config import Config, SchedulerConfig
from search.execution.worker import parts_of

Curve = dict[int, float]
"""what decides, by step"""

FirstFoldStop = Callable[[str, int, float], bool]
"""whether to stop a job at an epoch: its key, the step and the objective there"""

JUDGED_BY: dict[str, Any] = {"time_attr": "step", "metric": "objective", "mode": "max"}
"""fields of a message"""


def make_scheduler(
    config: Config, epochs: int, past: Iterable[tuple[str, Curve]], stops_after_first_fold: FirstFoldStop | None = None
) -> ResumableScheduler:
    """The configured scheduler, which knows what trials of earlier drivers reported (`past`: job key, curve).

    A job that it would let go on, `stops_after_first_fold` may stop all the same.
    """
    chosen = config.search.scheduler
    longest = epochs * len(parts_of(config))
    match chosen.name:
        case "none":
            inner: Any = FIFOScheduler()
        case "median":
            never_waits: Any = math.inf  # a trial that has too few to be compared with goes on
            inner = _Median(
                **JUDGED_BY,
                grace_period=chosen.grace_epochs,
                min_samples_required=chosen.min_trials,
                min_time_slice=never_waits,
            )
        case "asha":
            inner = _asha(chosen, longest, 0)
        case "hyperband":
            inner = Brackets(chosen, longest)
    return ResumableScheduler(inner, past, stops_after_first_fold)


class ResumableScheduler(FIFOScheduler):
    """A scheduler that remembers by job, not by Ray's trial: across retries, and across drivers.

    It is asked about epochs only: a job that ended by itself is never stopped as well, so that nobody takes a
    complete trial for a pruned one. An epoch that is told again changes nothing.
    """

    def __init__(
        self, inner: Any, past: Iterable[tuple[str, Curve]] = (), stops_after_first_fold: FirstFoldStop | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner
        self._gives_up = stops_after_first_fold
        self._metric = "objective"
        self._heard: dict[str, int] = {}
        for key, curve in past:
            self._add(key)
            for step, objective in sorted(curve.items()):
                self._heard[key] = step
                recall = inner.recall if isinstance(inner, _Median) else inner.on_trial_result
                recall(None, _Job(key), {"step": step, "objective": objective})

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._add(trial.config["key"])

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        key, step = trial.config["key"], result["step"]
        if result.get("state") != "running":
            return str(TrialScheduler.CONTINUE)
        decision = str(TrialScheduler.CONTINUE)
        if step > self._heard[key]:
            self._heard[key] = step
            decision = str(self._inner.on_trial_result(tune_controller, _Job(key), result))
        if decision == TrialScheduler.CONTINUE and self._gives_up and self._gives_up(key, step, result["objective"]):
            return str(TrialScheduler.STOP)
        return decision

    def debug_string(self) -> str:
        return str(self._inner.debug_string())

    def __reduce__(self) -> Any:
        return (_forgotten, ())

    def _add(self, key: str) -> None:
        if key not in self._heard:
            self._heard[key] = 0
            self._inner.on_trial_add(None, _Job(key))


class Brackets:
    """Hyperband's brackets: an ASHA each, bracket k with its first rung k rungs later.

    Hyperband gives every bracket the same budget (Li et al. 2018): one with h halvings ahead gets factor^h / (h + 1)
    of the trials. Which bracket a job is in hangs on its key alone, so that it stays there after an interruption.
    """

    def __init__(self, chosen: SchedulerConfig, longest: int) -> None:
        factor = chosen.reduction_factor
        starts = [0]
        while chosen.grace_epochs * factor ** (starts[-1] + 1) < longest:
            starts.append(len(starts))
        self.brackets = [_asha(chosen, longest, start) for start in starts]
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


class _Median(MedianStoppingRule):
    """Ray's rule, which can also be told of a curve without judging it."""

    def recall(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.on_trial_complete(tune_controller, trial, result)


@dataclass(frozen=True)
class _Job:
    """A trial as the schedulers know it."""

    trial_id: str


def _asha(chosen: SchedulerConfig, longest: int, rungs_later: int) -> ASHAScheduler:
    return ASHAScheduler(
        **JUDGED_BY,
        max_t=longest,
        grace_period=chosen.grace_epochs * chosen.reduction_factor**rungs_later,
        reduction_factor=chosen.reduction_factor,
    )


def _forgotten() -> None:
    """What a snapshot of Tune's holds in place of our scheduler: snapshots are never read."""
