"""Points that were looked at already: a further look at one is trained with fresh seeds, and a space may be used up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.samplers.unseen import VALUES
from search.space.entry import point_key


def look_at(values: Mapping[str, Any], number: int, trials: Iterable[FrozenTrial]) -> int:
    """Which look at its point the trial of that number is: 1 when no earlier trial has these values."""
    own, plain = point_key(values), json.loads(json.dumps(values))
    alike = (trial.user_attrs[VALUES] for trial in trials if trial.number < number and VALUES in trial.user_attrs)
    earlier: list[bool] = [other == plain and point_key(other) == own for other in alike]  # `==` is quick to say no
    return 1 + sum(earlier)


def is_used_up(points: Sequence[Mapping[str, Any]] | None, trials: Sequence[FrozenTrial]) -> bool:
    """Whether every point of a finite space has a trial, and none is waiting to be handed out."""
    if points is None or any(trial.state == TrialState.WAITING for trial in trials):
        return False
    seen = {point_key(trial.user_attrs[VALUES]) for trial in trials if VALUES in trial.user_attrs}
    return all(point_key(point) in seen for point in points)
