"""A trial from its proposal to its end, as everything but the study itself sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from search.space.parameters import describe
from search.trials.states import State

Fixed = Literal["published weights", "no distillation"]
"""a setting that every search trains to its end, whatever its sampler proposes and its scheduler stops"""
PUBLISHED: Final = "published weights"
NO_DISTILLATION_NAME: Final = "no distillation"
FIXED: tuple[Fixed, ...] = (PUBLISHED, NO_DISTILLATION_NAME)
"""in the order of their numbers: the first trials of a search"""

StoppedBy = Literal["scheduler", "race", "constraint"]
"""what ended a trial that was pruned; `race`: it could hardly come up to the best any more; `constraint`: by a cost of
its student, it misses one. Runs of 0.1.0 have `give_up` there: its first part was worse than the best trial's by a
fixed margin."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run: a new one, or one that was interrupted.

    Attributes:
        values: by dotted configuration path
        look: 1, or more where so many trials have these values, this one included
    """

    number: int
    values: dict[str, Any]
    fixed: Fixed | None = None
    look: int = 1

    def in_words(self) -> str:
        """Its values on one line, for people."""
        return _in_words(self.fixed, self.values) + look_in_words(self.look)


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
        fixed: None for what a sampler proposed
        nearest: Optuna's parameters are only the nearest that it can express; `values` are what ran
        curve: what the scheduler compares, by step
        objective: the first of the objectives
        best_step: of the epoch that the trial is judged by
        gpu_share: of the last attempt; 0 on a CPU, None before the first
        objectives: what the trial is worth so far: objectives, and what constraints name
        feasible: whether no constraint is broken; before the end of a trial, only costs can break one
        parts: that a whole trial trains
        part_epochs: of each
        part_values: the first objective on each part seen, the last of them as far as it has come
        look: 1 for the first trial with its values; further ones train with fresh seeds
    """

    number: int
    state: State
    attempt: int
    fixed: Fixed | None
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
    parts: int = 1
    part_epochs: int = 1
    part_values: tuple[float, ...] = ()
    look: int = 1

    @property
    def last_step(self) -> int:
        return max(self.curve, default=0)

    @property
    def published(self) -> bool:
        return self.fixed == PUBLISHED

    def in_words(self) -> str:
        """Its values on one line, for people."""
        return _in_words(self.fixed, self.values) + look_in_words(self.look)

    @property
    def parts_trained(self) -> float:
        """How many of its parts were trained: 1.5 in the middle of the second."""
        return self.last_step / self.part_epochs

    @property
    def stopped_at(self) -> str:
        """What must be said beside its figure."""
        return stopped_at(self.state, self.last_step, self.part_epochs * self.parts)


def look_in_words(look: int) -> str:
    """What must be said beside the values of a trial that is not the first with them."""
    return "" if look == 1 else f" (look {look} at these values)"


def stopped_at(state: str, step: int, epochs: int) -> str:
    """` at epoch 3 of 12`, where a figure is not over all epochs of all parts; nothing elsewhere."""
    return "" if state == "complete" else f" at epoch {step} of {epochs}"


def _in_words(fixed: Fixed | None, values: Mapping[str, Any]) -> str:
    """Of a setting without distillation, coefficients and weights are left out: they all say the same."""
    if fixed == NO_DISTILLATION_NAME:
        values = {path: value for path, value in values.items() if not path.startswith("distill.")}
    return ": ".join(filter(None, (fixed, describe(values))))
