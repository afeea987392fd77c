"""Where improvement is expected most.

Noisy expected improvement in its plain form: over the best that the posterior expects of a known point, not over the
luckiest value that was seen (Letham et al. 2019 for the general one). Its logarithm tells points apart where
improvement is hopeless (Ament et al. 2023). It is climbed by mutation from random points and around the best known
ones, so that whole numbers, choices and conditions need nothing of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

from search.samplers.model.beliefs import Beliefs

Array = NDArray[np.float64]

SAMPLES = 64
"""of several objectives at once"""
BLUR = 0.02
"""of an improvement of several objectives, over their spread: where none of the samples improves, some come nearer"""
SHARE = 0.05
"""of the sum of all objectives beside the worst of them (Knowles 2006)"""

DRAWS = 500
"""random points to begin with"""
PARENTS = 5
"""points that are climbed from"""
CHILDREN = 12
"""of each in a round"""
ROUNDS = 15


class Acquisition:
    """What a point is worth looking at: (m, d) features -> (m,).

    Attributes:
        level: (k,) what is expected of the points that the beliefs were made of
    """

    def __init__(self, known: Beliefs, now: Beliefs, seen: Array, rng: np.random.Generator) -> None:
        """`now`: what is believed once points under way count too; `seen`: features (k, d) of known points."""
        self._now = now
        goals = len(now.goals)
        self._weights = rng.dirichlet(np.ones(goals))
        self._draws = rng.normal(size=(goals, SAMPLES, 1))
        means = np.array([goal.mean(seen) for goal in known.goals])
        holds = np.exp(log_feasibility(known, seen))
        self.level = np.where(holds >= 0.5, self._sum(means), -np.inf)
        self._best = float(self.level.max())
        if not np.isfinite(self._best):
            self.level = holds

    def __call__(self, features: Array) -> Array:
        feasible = log_feasibility(self._now, features)
        if not np.isfinite(self._best):
            return feasible
        each = [goal.at(features) for goal in self._now.goals]
        if len(each) == 1:
            return log_expected_improvement(*each[0], self._best) + feasible
        mean, deviation = (np.array(parts)[:, None, :] for parts in zip(*each, strict=True))
        more = (self._sum(mean + deviation * self._draws) - self._best) / BLUR
        return np.asarray(np.logaddexp.reduce(np.log(np.logaddexp(0.0, np.maximum(more, -500.0))), axis=0) + feasible)

    def _sum(self, values: Array) -> Array:
        """Of objectives (goals, ...) one: the worst of them, and a little of all; of a single one itself."""
        if len(values) == 1:
            return np.asarray(values[0])
        weighted = values * self._weights.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(weighted.min(axis=0) + SHARE * weighted.sum(axis=0))


def log_feasibility(beliefs: Beliefs, features: Array) -> Array:
    """log of the chance that all constraints hold, (m,)."""
    total = np.zeros(len(features))
    for limit, bound in zip(beliefs.limits, beliefs.bounds, strict=True):
        mean, deviation = limit.at(features)
        total += log_ndtr((bound - mean) / deviation)
    return total


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """log E[max(0, f - best)] for f normal."""
    z = (mean - best) / deviation
    return np.log(deviation) + log_h(z)


def log_h(z: Array) -> Array:
    """log(phi(z) + z Phi(z)), also far below 0 (Ament et al. 2023, appendix A)."""
    found = np.empty_like(z)
    near = z > -1
    found[near] = np.log(np.exp(-0.5 * z[near] ** 2) / np.sqrt(2 * np.pi) + z[near] * np.exp(log_ndtr(z[near])))
    far = z[~near]
    ratio = -far * erfcx(-far / np.sqrt(2)) * np.sqrt(np.pi / 2)
    tail = np.where(far > -1e4, np.log(np.maximum(-np.expm1(np.log(ratio)), 1e-300)), -2 * np.log(-np.minimum(far, -1)))
    found[~near] = -0.5 * far**2 - 0.5 * np.log(2 * np.pi) + tail
    return found


def climb(worth: Callable[[Array], Array], known: Array, choices: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """The genes (g,) of the highest worth that is found. known: genes (k, g) to search around."""
    g = len(choices)
    pool = np.vstack([rng.random((DRAWS, g)), *(mutated(known, 0.1, choices, rng) for _ in range(8))])
    values = worth(pool)
    order = np.argsort(-values)[:PARENTS]
    pool, values = pool[order], values[order]
    for step in np.geomspace(0.2, 0.005, ROUNDS):
        children = mutated(np.repeat(pool, CHILDREN, axis=0), step, choices, rng)
        families = np.concatenate([pool[:, None], children.reshape(len(pool), CHILDREN, g)], axis=1)
        found = np.column_stack([values, worth(children).reshape(len(pool), CHILDREN)])
        pool, values = families[np.arange(len(pool)), found.argmax(axis=1)], found.max(axis=1)
    return np.asarray(pool[np.argmax(values)])


def mutated(genes: Array, step: float, choices: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Each with some of its genes moved by about `step`; a choice is drawn anew instead."""
    n, g = genes.shape
    moved = rng.random((n, g)) < rng.choice([1.0, 0.5, 1.5 / max(1, g)], size=(n, 1))
    moved[np.arange(n), rng.integers(g, size=n)] = True
    by = rng.normal(0.0, step, (n, g)) * rng.choice([0.3, 1.0], size=(n, 1))
    numbers = np.clip(genes + by, 0.0, 1.0)
    drawn = np.where(rng.random((n, g)) < 0.3, rng.random((n, g)), genes)
    return np.where(moved, np.where(choices, drawn, numbers), genes)
