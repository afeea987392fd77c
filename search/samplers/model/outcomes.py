"""What trials that are over tell a model.

| trial    | counts as                                                                                            |
|----------|------------------------------------------------------------------------------------------------------|
| complete | what it is worth, and what it would have been expected to be where others were stopped               |
| pruned   | what it had reached, times the median factor by which complete trials still rose from that step on   |
| diverged | the worst that any other trial counts as                                                             |

The model hears from which step on a row was extrapolated, and how much its noise grew by it. Compared at equal steps of
the same part, the factor also holds what parts to come are harder than those seen. A factor, not a difference: trials
that are worth more rise by more. A constraint is learned from the trials that know it. Where the scheduler compares
something else than the first objective, stopped trials are left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median

from optuna.trial import FrozenTrial, TrialState

from owkd.config import SearchConfig
from search.samplers.model.once import OncePerTrial
from search.trials.objective import score_steps

PART_EPOCHS = "part_epochs"
"""the user attribute of a trial that says how many steps each of its parts has"""
OVER = (TrialState.COMPLETE, TrialState.PRUNED)
LEVELS = 3
"""steps at which most trials were stopped, at which those that went on count as well"""


@dataclass(frozen=True)
class Outcome:
    """What a trial tells at one of its steps.

    Attributes:
        trial: its place among the trials
        lag: 0 at the end of a training, nearer to 1 the earlier it was left
        values: by objective, as at the end
        scale: how much larger the noise of the first is than at the end
    """

    trial: int
    lag: float
    values: tuple[float, ...]
    scale: float = 1.0


def outcomes(search: SearchConfig, trials: Sequence[FrozenTrial]) -> list[Outcome]:
    """Of trials that are complete or pruned; empty as long as none of them has a value."""
    places = [place for place, trial in enumerate(trials) if trial.state in OVER]
    rule = _Rule(f"{search.objectives!r} {search.deciding_metric}", search)
    over = list(zip(places, _curves(rule).of([trials[place] for place in places]), strict=True))
    curves = [curve for _, curve in over if curve is not None]
    reader = _Reader(search, curves)
    found = [outcome for place, curve in over if curve is not None for outcome in reader.told(place, curve)]
    worst = _worst(search, found) if found else ()
    return found + [Outcome(place, 0.0, worst) for place, curve in over if curve is None and found]


@dataclass(frozen=True)
class _Curve:
    """A trial that did not diverge.

    Attributes:
        worths: the first objective at each step, over the parts seen by then
        last: its last step
        part_epochs: steps of a part; all where nobody recorded it: one part
        steps_known: the same; 0 where nobody recorded it
    """

    trial: FrozenTrial
    complete: bool
    worths: tuple[float, ...]
    last: int
    part_epochs: int
    steps_known: int

    @classmethod
    def of(cls, search: SearchConfig, trial: FrozenTrial) -> _Curve | None:
        """None of a trial that diverged."""
        if has_diverged(trial):
            return None
        told = tuple(trial.intermediate_values[at] for at in sorted(trial.intermediate_values))
        part_epochs = trial.user_attrs.get(PART_EPOCHS)
        known = int(trial.user_attrs.get(PART_EPOCHS, 0))
        scores = score_steps(search, told, part_epochs) if told else []
        worths = tuple(score.values[search.leading_metric] for score in scores)
        complete = trial.state == TrialState.COMPLETE
        return cls(trial, complete, worths, len(worths), int(part_epochs or len(told) or 1), known)

    def part(self, step: int) -> int:
        """The part that a step belongs to, from 0."""
        return (step - 1) // self.part_epochs


class _Reader:
    """Reads trials, each beside all others."""

    def __init__(self, search: SearchConfig, curves: Sequence[_Curve]) -> None:
        self._knows_steps = search.deciding_metric == search.leading_metric
        self._others_are_costs = [(goal.metric, goal.metric in search.costs) for goal in search.objectives[1:]]
        self._complete = [curve for curve in curves if curve.complete]
        often = Counter(curve.last for curve in curves if curve.last and not curve.complete)
        self._levels = [step for step, _ in sorted(often.items(), key=lambda item: (-item[1], item[0]))[:LEVELS]]
        self._parts = max((1 + curve.part(curve.last) for curve in curves if curve.last), default=1)
        self._factors: dict[tuple[int, int], float] = {}
        self._read: dict[tuple[int, int, int, int], tuple[float, float]] = {}
        """factor and lag, by what they hang on: the same for most trials"""

    def told(self, place: int, curve: _Curve) -> Iterator[Outcome]:
        """What a trial tells."""
        if curve.complete:
            values = tuple(curve.trial.values)
            yield Outcome(place, 0.0, values)
            yield from self._on_the_way(place, curve, values[1:], [step for step in self._levels if step < curve.last])
        elif curve.last and (others := self._others(curve)) is not None:
            steps = {step for step in self._levels if step < curve.last} | {curve.last}
            yield from self._on_the_way(place, curve, others, sorted(steps))

    def _on_the_way(
        self, place: int, curve: _Curve, others: tuple[float, ...], steps: Sequence[int]
    ) -> Iterator[Outcome]:
        """Steps before the end, the first objective as far as it had come, and risen."""
        if not self._knows_steps:
            return
        for step in steps:
            key = curve.last, curve.part_epochs, curve.steps_known, step
            if key not in self._read:
                self._read[key] = self._factor(curve, step), self._lag(curve, step)
            factor, lag = self._read[key]
            yield Outcome(place, lag, (curve.worths[step - 1] * factor, *others), max(1.0, factor))

    def _others(self, curve: _Curve) -> tuple[float, ...] | None:
        """Further objectives of a stopped trial: costs as they are, others risen as the first one; None if unknown."""
        if not self._others_are_costs:
            return ()
        judged = curve.trial.user_attrs.get("judged", {}).get("values", {})
        if any(metric not in judged for metric, _ in self._others_are_costs):
            return None
        risen = self._factor(curve, curve.last)
        return tuple(judged[metric] * (1.0 if is_cost else risen) for metric, is_cost in self._others_are_costs)

    def _factor(self, curve: _Curve, step: int) -> float:
        """By which complete trials still rose from there on, in the median; 1 where none came by with anything."""
        key = step, curve.part(step)
        if key not in self._factors:
            passed = [each for each in self._complete if step < each.last and each.part(step) == key[1]]
            rises = [each.worths[-1] / each.worths[step - 1] for each in passed if each.worths[step - 1] > 0]
            self._factors[key] = median(rises) if rises else 1.0
        return self._factors[key]

    def _lag(self, curve: _Curve, step: int) -> float:
        """By the logarithm of steps: rungs are about equally far apart."""
        return 1 - math.log1p(step) / math.log1p(max(curve.last, self._parts * curve.steps_known, step + 1))


@dataclass(frozen=True)
class _Rule:
    """A section `search`, equal to any other that judges alike: the same text."""

    text: str
    search: SearchConfig = field(compare=False)


@lru_cache(maxsize=4)
def _curves(rule: _Rule) -> OncePerTrial[_Curve | None]:
    """Curves of trials as a section judges them."""
    return OncePerTrial(lambda trial: _Curve.of(rule.search, trial))


def has_diverged(trial: FrozenTrial) -> bool:
    """Whether the study holds NaN for one of its steps."""
    return any(map(math.isnan, trial.intermediate_values.values()))


def _worst(search: SearchConfig, known: Sequence[Outcome]) -> tuple[float, ...]:
    """The worst value for each objective."""
    columns = zip(*(each.values for each in known), strict=True)
    return tuple(
        (min if goal.direction == "max" else max)(column)
        for goal, column in zip(search.objectives, columns, strict=True)
    )
