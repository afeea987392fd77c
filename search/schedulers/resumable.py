"""A scheduler that remembers across retries and drivers, around any of Ray's rules."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.schedulers.median import MedianRule
from search.trials.job import Message

Curve = dict[int, float]
"""what decides, by step"""

Verdict = Callable[[Message], bool]
"""on a job, at an epoch of it"""


class ResumableScheduler(FIFOScheduler):
    """A scheduler that remembers by job, not by Ray's trial: across retries, and across drivers.

    It is asked about epochs only: a job that ended by itself is never stopped as well, so that nobody takes a
    complete trial for a pruned one. An epoch that is reported again changes nothing.
    """

    def __init__(
        self,
        inner: Any,
        past: Iterable[tuple[str, Curve]] = (),
        gives_up: Verdict | None = None,
        spares: Verdict | None = None,
        never_stopped: Container[str] = (),
    ) -> None:
        """`gives_up`: whether to stop a job that the rule would let continue; `spares`: whether to let one go on that
        it would stop; `never_stopped`: keys of jobs that train to their end, with which it compares the others."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner
        self._gives_up = gives_up
        self._spares = spares
        self._never_stopped = never_stopped
        self._metric = "objective"
        self._last_step: dict[str, int] = {}
        for key, curve in past:
            self._add(key)
            for step, objective in sorted(curve.items()):
                self._last_step[key] = step
                self._recall(key, {"step": step, "objective": objective})

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._add(trial.config["key"])

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        key, step = trial.config["key"], result["step"]
        if result.get("state") != "running":
            return str(TrialScheduler.CONTINUE)
        decision = str(TrialScheduler.CONTINUE)
        is_new, self._last_step[key] = step > self._last_step[key], max(step, self._last_step[key])
        if key in self._never_stopped:
            if is_new:
                self._recall(key, result)
            return decision
        if is_new:
            decision = str(self._inner.on_trial_result(tune_controller, _Job(key), result))
        if decision == TrialScheduler.STOP and self._spares and self._spares(Message.of(result)):
            decision = str(TrialScheduler.CONTINUE)
        if decision == TrialScheduler.CONTINUE and self._gives_up and self._gives_up(Message.of(result)):
            return str(TrialScheduler.STOP)
        return decision

    def debug_string(self) -> str:
        return str(self._inner.debug_string())

    def __reduce__(self) -> Any:
        return (_forgotten, ())

    def _recall(self, key: str, result: dict[str, Any]) -> None:
        """Makes an epoch known to the rule, whatever it says of it."""
        recall = self._inner.recall if isinstance(self._inner, MedianRule) else self._inner.on_trial_result
        recall(None, _Job(key), result)

    def _add(self, key: str) -> None:
        if key not in self._last_step:
            self._last_step[key] = 0
            self._inner.on_trial_add(None, _Job(key))


@dataclass(frozen=True)
class _Job:
    """A trial as the schedulers know it."""

    trial_id: str


def _forgotten() -> None:
    """What a snapshot of Tune's holds in place of our scheduler: snapshots are never read."""
