"""Points that were looked at already: a further look at one is trained with fresh seeds, and a space may be used up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.samplers.unseen import VALUES
from search.space.entry import point_key


def look_at(values: Mapping[str, Any], number: int, trials: Iterable[FrozenTrial]) -> int:
    """Which look at its point the trial of that number is: 1 when no earlier trial has these values."""
    own = point_key(values)
    return 1 + sum(trial.number < number and point_key(trial.user_attrs.get(VALUES, {})) == own for trial in trials)


def is_used_up(points: Sequence[Mapping[str, Any]] | None, trials: Sequence[FrozenTrial]) -> bool:
    """Whether every point of a finite space has a trial, and none is waiting to be handed out."""
    if points is None or any(trial.state == TrialState.WAITING for trial in trials):
        return False
    seen = {point_key(trial.user_attrs[VALUES]) for trial in trials if VALUES in trial.user_attrs}
    return all(point_key(point) in seen for point in points)
