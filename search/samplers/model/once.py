"""What is made of a trial that is over is made once: it changes no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from optuna.trial import FrozenTrial

Made = TypeVar("Made")

SPARE = 1000
"""trials that are kept beyond twice those that were asked about last: of a study that is closed, or of another one"""


class OncePerTrial(Generic[Made]):
    """Remembers what was made of each trial, by identity: a study hands out the same object every time."""

    def __init__(self, make: Callable[[FrozenTrial], Made]) -> None:
        self._make = make
        self._made: dict[int, tuple[FrozenTrial, Made]] = {}

    def of(self, trials: Sequence[FrozenTrial]) -> list[Made]:
        """Of trials that are over, in their order."""
        if len(self._made) > 2 * len(trials) + SPARE:
            self._made.clear()
        made = self._made
        for trial in trials:
            if id(trial) not in made:
                made[id(trial)] = trial, self._make(trial)
        return [made[id(trial)][1] for trial in trials]
