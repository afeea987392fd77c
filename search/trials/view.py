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
    """A trial to run: a new one, or one that was interrupted."""

    number: int
    values: dict[str, Any]
    """by dotted configuration path"""
    published: bool


@dataclass(frozen=True)
class Ending:
    """How a trial ended."""

    state: State
    step: int = 0
    """the step that diverged; only then"""
    error_type: str | None = None
    error_text: str | None = None
    stopped_by: StoppedBy | None = None


@dataclass(frozen=True)
class TrialView:
    """A trial as the study knows it."""

    number: int
    state: State
    attempt: int
    """how often it was started; 0: handed out, but not started yet"""
    published: bool
    nearest: bool
    """Optuna's parameters are only the nearest that it can express; `values` are what ran"""
    values: dict[str, Any]
    curve: dict[int, float]
    """what the scheduler compares, by step"""
    objective: float | None
    """the first of the objectives"""
    best_step: int | None
    """of the epoch that the trial is judged by"""
    started_at: datetime | None
    ended_at: datetime | None
    host: str | None
    error_type: str | None
    error_text: str | None
    stopped_by: StoppedBy | None = None
    gpu_share: float | None = None
    """of the last attempt; 0 on a CPU, None before the first"""
    objectives: dict[str, float] = field(default_factory=dict)
    """what the trial is worth so far: objectives, and what constraints name"""
    feasible: bool = True
    """whether no constraint is broken; before the end of a trial, only costs can break one"""

    @property
    def last_step(self) -> int:
        return max(self.curve, default=0)
