"""A trial from its proposal to its end, as everything but the study itself sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from search.trials.states import State

StoppedBy = Literal["scheduler", "first_fold"]
"""what ended a trial that was pruned; `first_fold`: its first fold and seed were clearly worse than the best trial's.
In runs of 0.1.0 that is `give_up`."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run: a new one, or one that was interrupted.

    Attributes:
        values: by dotted configuration path
    """

    number: int
    values: dict[str, Any]
    published: bool


@dataclass(frozen=True)
class Ending:
    """How a trial ended.

    Attributes:
        step: the step that diverged; only then
    """

    state: State
    step: int = 0
    error_type: str | None = None
    error_text: str | None = None
    stopped_by: StoppedBy | None = None


@dataclass(frozen=True)
class TrialView:
    """A trial as the study knows it.

    Attributes:
        attempt: how often it was started; 0: handed out, but not started yet
        nearest: Optuna's parameters are only the nearest that it can express; `values` are what ran
        curve: what the scheduler compares, by step
        objective: the first of the objectives
        best_step: of the epoch that the trial is judged by
        gpu_share: of the last attempt; 0 on a CPU, None before the first
        objectives: what the trial is worth so far: objectives, and what constraints name
        feasible: whether no constraint is broken; before the end of a trial, only costs can break one
    """

    number: int
    state: State
    attempt: int
    published: bool
    nearest: bool
    values: dict[str, Any]
    curve: dict[int, float]
    objective: float | None
    best_step: int | None
    started_at: datetime | None
    ended_at: datetime | None
    host: str | None
    error_type: str | None
    error_text: str | None
    stopped_by: StoppedBy | None = None
    gpu_share: float | None = None
    objectives: dict[str, float] = field(default_factory=dict)
    feasible: bool = True

    @property
    def last_step(self) -> int:
        return max(self.curve, default=0)
