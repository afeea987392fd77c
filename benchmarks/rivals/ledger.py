"""What a search has to show for its epochs, by one rule for every searcher.

Whoever searches, handed on is the same: of the trials that trained to their end and kept every constraint, as far as
they told, the point with the best told objective; a point that was trained more than once counts as the mean of its
trainings. What counts is its true worth. With several objectives all such trials are handed on, and what counts is the
hypervolume of their true values. Nothing counts that is told after the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from benchmarks.landscapes import Landscape, Values
from owkd.config import SearchConfig
from search.space import point_key
from search.trials.objective import violations


@dataclass(frozen=True)
class Outcome:
    """One search.

    Attributes:
        trace: epochs used, and the true worth of what was handed on from then on; the first is (0, 0)
        proposing: seconds of the processor in which trials were proposed
    """

    trace: tuple[tuple[int, float], ...]
    trials: int
    complete: int
    proposing: float

    @property
    def worth(self) -> float:
        """Of what it hands on at its end."""
        return self.trace[-1][1]

    def epochs_to(self, worth: float) -> int | None:
        """Epochs after which it hands on nothing worse than that any more; None where it never comes so far."""
        worse = max((at for at, (_, found) in enumerate(self.trace) if found < worth), default=-1)
        return self.trace[worse + 1][0] if worse + 1 < len(self.trace) else None


@dataclass
class Ledger:
    """Counts epochs and keeps what a search would hand on."""

    land: Landscape
    search: SearchConfig
    used: int = 0
    trials: int = 0
    proposing: float = 0.0
    trace: list[tuple[int, float]] = field(default_factory=lambda: [(0, 0.0)])
    complete: list[tuple[Values, Mapping[str, float]]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether the budget is used."""
        return self.used >= self.land.budget

    def completed(self, values: Values, told: Mapping[str, float]) -> None:
        """A trial has trained to its end; `told`: what it was worth by metric."""
        self.complete.append((values, told))
        worth = self._worth()
        if worth != self.trace[-1][1]:
            self.trace.append((self.used, worth))

    def outcome(self) -> Outcome:
        """What the search came to."""
        return Outcome(tuple(self.trace), self.trials, len(self.complete), self.proposing)

    def _worth(self) -> float:
        kept = [
            (values, told)
            for values, told in self.complete
            if all(missed <= 0 for missed in violations(self.search, told).values())
        ]
        if len(self.search.objectives) > 1:
            return self.land.set_worth([values for values, _ in kept])
        points: dict[str, list[tuple[Values, float]]] = {}
        for values, told in kept:
            points.setdefault(point_key(values), []).append((values, told[self.search.leading_metric]))
        if not points:
            return 0.0
        best = max(points.values(), key=lambda looks: fmean(value for _, value in looks))
        return self.land.worth(best[0][0])


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Plain values; `from_json` takes them back."""
    return {**vars(outcome), "trace": [list(point) for point in outcome.trace]}


def from_json(plain: Mapping[str, Any]) -> Outcome:
    """What `as_json` gave."""
    return Outcome(**{**plain, "trace": tuple((int(used), float(worth)) for used, worth in plain["trace"])})
