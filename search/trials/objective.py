"""What a trial is judged by: epochs -> one number for each objective, and trials -> an order.

A trial trains parts: a fold with a seed each. The epochs of a part become one number as `reduction` says; a trial's
number is the mean over the parts that it has seen. Parts differ in difficulty, so such numbers are compared only
between trials that saw the same parts for equally long: complete trials are ranked, all others follow in the order of
how far they came (`listed_by`). Costs (latency, parameters, operations) are metrics like any other here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from owkd.config import SearchConfig, parse_constraint
from owkd.training.reduction import EpochRule, Metrics
from search.trials.states import FAILED

if TYPE_CHECKING:
    from search.trials.view import TrialView


@dataclass(frozen=True)
class Score:
    """What a trial is worth if it ends at this epoch.

    Attributes:
        scheduler_value: what the scheduler compares: the mean of the parts behind it and of this epoch alone
        values: by metric: objectives, and what constraints name; means over the parts seen
        step: epochs over all parts up to the one that stands for the part under way
        parts: the leading metric on each part seen, the last of them as far as it has come
    """

    scheduler_value: float
    values: dict[str, float]
    step: int
    parts: tuple[float, ...] = ()


def epoch_rule(search: SearchConfig) -> EpochRule:
    """Which epoch of a training its search keeps: by the metric and the reduction of the first objective."""
    return EpochRule(search.leading_metric, search.reduction)


class ObjectiveAccumulator:
    """Takes a trial's epochs one after the other, part after part.

    Attributes:
        names: metrics that it takes of an epoch
    """

    def __init__(self, search: SearchConfig) -> None:
        self._search = search
        self._rule = epoch_rule(search)
        self.names = tuple(dict.fromkeys((*search.judged_metrics, search.deciding_metric)))
        self._behind: list[dict[str, float]] = []
        self._part: object = None
        self._epochs: list[Metrics] = []
        self._before = 0

    def add(self, part: object, metrics: Metrics) -> Score:
        """Judges by all epochs until now; another `part` than before closes the one before.

        Raises `KeyError` for a metric that is not there.
        """
        if part != self._part:
            if self._epochs:
                self._behind.append(self._reduced())
                self._before += len(self._epochs)
            self._part, self._epochs = part, []
        self._epochs.append({name: metrics[name] for name in self.names})
        now = self._reduced()
        parts = [*self._behind, now]
        deciding = self._search.deciding_metric
        return Score(
            scheduler_value=fmean([*(found[deciding] for found in self._behind), metrics[deciding]]),
            values={name: fmean(found[name] for found in parts) for name in self._search.judged_metrics},
            step=self._before + self._rule.best_index(self._epochs) + 1,
            parts=tuple(found[self._search.leading_metric] for found in parts),
        )

    def _reduced(self) -> dict[str, float]:
        return self._rule.reduce(self._epochs, self.names)


def score_curve(search: SearchConfig, values: Sequence[float], part_epochs: int | None = None) -> Score:
    """Judges by the leading metric alone, where nothing else is known. Takes one value or more.

    values: what the scheduler compared at each step, of parts that have `part_epochs` each; one part where unset.
    """
    return score_steps(search, values, part_epochs)[-1]


def score_steps(search: SearchConfig, values: Sequence[float], part_epochs: int | None = None) -> list[Score]:
    """As `score_curve`, at each step."""
    judge = ObjectiveAccumulator(search.model_copy(update={"objectives": search.objectives[:1], "constraints": ()}))
    names = (search.deciding_metric, search.leading_metric)
    parts = _apart(epoch_rule(search), values, part_epochs or len(values))
    return [judge.add(number, dict.fromkeys(names, own)) for number, part in enumerate(parts) for own in part]


def _apart(rule: EpochRule, values: Sequence[float], part_epochs: int) -> list[list[float]]:
    """Each part's own epochs, out of means of the parts behind and an epoch alone."""
    parts: list[list[float]] = []
    behind: list[float] = []
    for start in range(0, len(values), part_epochs):
        total = math.fsum(behind)
        parts.append([(len(behind) + 1) * value - total for value in values[start : start + part_epochs]])
        behind.append(rule.reduce([{rule.metric: value} for value in parts[-1]], (rule.metric,))[rule.metric])
    return parts


def violations(search: SearchConfig, values: Metrics, *, at_the_end: bool = True) -> dict[str, float]:
    """By constraint: how far it is missed; 0 or less holds. Before the end, only costs can be judged."""
    found = {}
    for text in search.constraints:
        metric, comparison, bound = parse_constraint(text)
        if metric in values and (at_the_end or metric in search.costs):
            found[text] = values[metric] - bound if comparison == "<=" else bound - values[metric]
    return found


def ranked(search: SearchConfig, views: Iterable[TrialView]) -> list[TrialView]:
    """Complete trials that keep every constraint, best first.

    With one objective by its value; with several in Pareto fronts, each ordered by the first objective. Of equals the
    earlier trial comes first.
    """
    found = [view for view in views if view.state == "complete" and view.feasible and view.objective is not None]
    found.sort(key=lambda view: (-_gains(search, view)[0], view.number))
    if len(search.objectives) == 1:
        return found
    order: list[TrialView] = []
    while found:
        front = front_of(search, found)
        order.extend(view for view in found if view.number in front)
        found = [view for view in found if view.number not in front]
    return order


def ranked_points(search: SearchConfig, views: Iterable[TrialView]) -> list[TrialView]:
    """`ranked`, with one trial for each point that was tried: its first.

    With one objective, a point that was looked at more than once counts as the mean of its looks: its luckiest look
    says too much of it.
    """
    looks: list[list[TrialView]] = []
    for view in ranked(search, views):
        same = next((own for own in looks if own[0].values == view.values), None)
        if same is None:
            looks.append([view])
        else:
            same.append(view)
    if len(search.objectives) == 1:
        looks.sort(key=lambda own: -fmean(_gains(search, view)[0] for view in own))
    return [min(own, key=lambda view: view.number) for own in looks]


def listed_by(state: str, parts_trained: float, objective: float | None) -> tuple[float, ...]:
    """Sorts the trials of a list, the best first: complete ones by their objective, then those that are not, the
    furthest first, and by objective among equally far ones alone; failed and diverged ones last."""
    gain = math.inf if objective is None else -objective
    if state == "complete":
        return 0, 0, gain
    return (2 if state in (*FAILED, "diverged") else 1), -parts_trained, gain


def front_of(search: SearchConfig, views: Iterable[TrialView]) -> set[int]:
    """Numbers of the trials that no other one beats or equals in every objective and beats in one."""
    listed = list(views)
    gains = np.array([_gains(search, view) for view in listed])
    if not listed:
        return set()
    no_worse = (gains[:, None, :] >= gains[None, :, :]).all(axis=2)
    better = (gains[:, None, :] > gains[None, :, :]).any(axis=2)
    beaten = np.any(no_worse & better, axis=0)
    return {view.number for view, lost in zip(listed, np.asarray(beaten), strict=True) if not lost}


def leads(search: SearchConfig, step: int, value: float, judged: Metrics, views: Iterable[TrialView]) -> bool:
    """Whether a trial that came to this step is on the front of all that did so and break no constraint.

    value: what the scheduler compares. It stands for every objective that epochs change, beside those that are costs;
    where none is, only the best trial leads.
    """
    costs = [goal.metric for goal in search.objectives if goal.metric in search.costs]
    own = value, *(-judged[metric] for metric in costs)
    for view in views:
        if view.feasible and step in view.curve and all(metric in view.objectives for metric in costs):
            other = view.curve[step], *(-view.objectives[metric] for metric in costs)
            if other != own and all(theirs >= ours for theirs, ours in zip(other, own, strict=True)):
                return False
    return True


def _gains(search: SearchConfig, view: TrialView) -> tuple[float, ...]:
    """Objectives as numbers of which more is better; the worst there is for one that was not measured."""
    signs = (1.0 if objective.direction == "max" else -1.0 for objective in search.objectives)
    values = (view.objective, *(view.objectives.get(objective.metric) for objective in search.objectives[1:]))
    return tuple(-math.inf if value is None else sign * value for sign, value in zip(signs, values, strict=True))


def plain(values: Mapping[str, float]) -> dict[str, float]:
    """Judged values without those that are not finite: what a file of plain values can hold."""
    return {name: value for name, value in values.items() if math.isfinite(value)}
