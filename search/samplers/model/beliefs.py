"""What a model makes of the trials that are over: a process for each objective and each constraint, of equal points.

Costs of a student count by their logarithm, since they span decades. Values are brought to mean 0 and spread 1. What is
far below the middle is drawn near: a training that failed is bad, and how bad says nothing about where the best ones
are (winsorised). Hyperparameters are those of the trials that were over when their number last grew by a tenth: so a
proposal is quick, and hangs on the history alone all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from owkd.config import SearchConfig
from search.samplers.model.outcomes import Outcome, outcomes
from search.samplers.model.points import Points
from search.samplers.model.process import Hyper, Posterior, Rows, fit

Array = NDArray[np.float64]

WINSOR = 2.5
"""spreads of the upper half below the median; what is worse counts as that"""
GROWTH = 1.1
EACH_TIME = 40
"""trials up to which hyperparameters are fitted for each proposal"""
MOST_ROWS = 300
"""of which the model is made; beyond, the best of them and some of all others"""
MOST_FITTED = 150
"""the same for the fit"""


@dataclass(frozen=True)
class Beliefs:
    """Processes over features.

    Attributes:
        genes: (k, g) of the trials that they were made of
        features: (k, d) of the same
        goals: by objective, more is better
        limits: by constraint, at most its bound holds
        bounds: of the limits
    """

    genes: Array
    features: Array
    goals: tuple[Posterior, ...]
    limits: tuple[Posterior, ...]
    bounds: tuple[float, ...]

    def believing(self, features: Array) -> Beliefs:
        """The same if they were right about these points (m, d)."""
        goals = tuple(goal.believing(features) for goal in self.goals)
        return replace(self, goals=goals, limits=tuple(limit.believing(features) for limit in self.limits))


def beliefs(search: SearchConfig, points: Points, over: Sequence[FrozenTrial]) -> Beliefs | None:
    """Of trials that are over, in the order in which they ended; None as long as none of them has a value."""
    found = outcomes(search, over)
    if not found:
        return None
    first = over[: fitted(len(over))]
    hypers = _hypers(_Asked(search.model_dump_json(), tuple(map(id, first)), search, points, first))
    genes = points.of_trials(over)
    features = points.features(genes)
    rows = _rows(search, features, over, found, MOST_ROWS)
    known = {name: Posterior(own, hypers.get(name) or fit(own)) for name, (own, _) in rows.items()}
    limits = [name for name in search.constraints if name in known]
    told = sorted({each.trial for each in found})
    return Beliefs(
        genes[told],
        features[told],
        tuple(known[goal.metric] for goal in search.objectives),
        tuple(known[name] for name in limits),
        tuple(rows[name][1] for name in limits),
    )


def _rows(
    search: SearchConfig, features: Array, over: Sequence[FrozenTrial], found: Sequence[Outcome], most: int
) -> dict[str, tuple[Rows, float]]:
    """By objective and constraint: rows, and the bound of a constraint."""
    rows = {}
    for place, goal in enumerate(search.objectives):
        values = np.array([each.values[place] for each in found])
        if goal.metric in search.costs and values.min() > 0:
            values = np.log(values)
        sign = 1.0 if goal.direction == "max" else -1.0
        rows[goal.metric] = rows_of(found, features, sign * values, most), 0.0
    for name in search.constraints:
        missed = {place: trial.constraints[name] for place, trial in enumerate(over) if name in trial.constraints}
        if missed:
            rows[name] = limit_rows(missed, features, most)
    return rows


@dataclass(frozen=True)
class _Asked:
    """What hyperparameters are fitted to; equal where trials and section are the same.

    Attributes:
        trials: by identity; they are not freed as long as `over` holds them
    """

    section: str
    trials: tuple[int, ...]
    search: SearchConfig = field(compare=False)
    points: Points = field(compare=False)
    over: Sequence[FrozenTrial] = field(compare=False)


@lru_cache(maxsize=4)
def _hypers(asked: _Asked) -> dict[str, Hyper]:
    """By objective and constraint, of which anything is known; kept in mind, as many proposals are made of the same."""
    found = outcomes(asked.search, asked.over)
    if not found:
        return {}
    features = asked.points.features(asked.points.of_trials(asked.over))
    rows = _rows(asked.search, features, asked.over, found, MOST_FITTED)
    return {name: fit(own) for name, (own, _) in rows.items()}


def fitted(trials: int) -> int:
    """Of so many trials that are over, how many there were when the hyperparameters were fitted."""
    number = min(trials, EACH_TIME)
    while number >= EACH_TIME and (following := math.ceil(number * GROWTH)) <= trials:
        number = following
    return number


def rows_of(found: Sequence[Outcome], features: Array, values: Array, most: int) -> Rows:
    """Outcomes as rows, at most so many: half of them the best, the others spread over the rest."""
    y = standardised(values)
    order = np.argsort(-y, kind="stable")
    if len(y) > most:
        rest = order[most // 2 :]
        order = np.concatenate([order[: most // 2], rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(int)]])
    kept = np.sort(order)
    trial = np.array([each.trial for each in found])[kept]
    lag, scale = (np.array([getattr(each, name) for each in found])[kept] for name in ("lag", "scale"))
    return Rows(features[trial], lag, y[kept], scale, trial)


def standardised(values: Array) -> Array:
    """Mean 0 and spread 1, what is far below the median drawn near to it."""
    middle = np.median(values)
    spread = np.quantile(values, 0.9) - middle
    drawn = np.maximum(values, middle - WINSOR * spread) if spread > 0 else values
    return np.asarray((drawn - drawn.mean()) / (drawn.std() or 1.0))


def limit_rows(missed: Mapping[int, float], features: Array, most: int) -> tuple[Rows, float]:
    """By how much trials missed a constraint -> rows, at most so many, the latest; and the bound in their units."""
    trial = np.array([*missed])[-most:]
    values = np.array([*missed.values()])[-most:]
    middle, spread = np.median(values), values.std() or 1.0
    n = len(values)
    drawn = np.clip((values - middle) / spread, -3.0, 3.0)
    return Rows(features[trial], np.zeros(n), drawn, np.ones(n), trial), float(np.clip(-middle / spread, -3.0, 3.0))
