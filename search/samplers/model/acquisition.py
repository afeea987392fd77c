"""Where improvement is expected most.

Noisy expected improvement in its plain form: over the best that the posterior expects of a known point, not over the
luckiest value that was seen (Letham et al. 2019 for the general one). Its logarithm tells points apart where
improvement is hopeless (Ament et al. 2023). It is climbed by mutation from random points and around the best known
ones, so that whole numbers, choices and conditions need nothing of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

from search.samplers.model.beliefs import Beliefs

Array = NDArray[np.float64]

SAMPLES = 96
"""of several objectives at once, each in a direction of its own"""
BLUR = 0.02
"""of an improvement of several objectives: where none of the samples improves, some come nearer"""

DRAWS = 500
"""random points to begin with"""
PARENTS = 5
"""points that are climbed from"""
CHILDREN = 12
"""of each in a round"""
ROUNDS = 15


class Improvement(Protocol):
    """Over what is known already.

    Attributes:
        level: (k,) what each known point counts as, for those around which is searched
    """

    level: Array

    def log_expected(self, mean: Array, deviation: Array) -> Array:
        """Of points whose objectives are believed to be so, both (goals, m) -> logarithms (m,)."""
        ...


class BestImprovement:
    """Of one objective, over the best."""

    def __init__(self, known: Array) -> None:
        """`known`: objectives (1, k) of points that are allowed."""
        self.level = known[0]
        self._best = float(self.level.max())

    def log_expected(self, mean: Array, deviation: Array) -> Array:
        return log_expected_improvement(mean[0], deviation[0], self._best)


class FrontImprovement:
    """Of several objectives: of the volume that they dominate above the worst that is known.

    A volume is the mean, over directions drawn evenly, of how far it reaches to the power of the number of objectives
    (Golovin and Zhang 2020, up to a constant). So each sample of the objectives is compared in a direction of its own.
    """

    def __init__(self, known: Array, rng: np.random.Generator) -> None:
        """`known`: objectives (goals, k) of points that are allowed."""
        goals = len(known)
        directions = np.abs(rng.normal(size=(goals, SAMPLES, 1)))
        self._directions = directions / np.linalg.norm(directions, axis=0)
        self._draws = rng.normal(size=(goals, SAMPLES, 1))
        self._worst = known.min(axis=1)[:, None, None]
        reaches = self._reach(known[:, None, :])
        self._reached = reaches.max(axis=1, keepdims=True)
        self.level = np.bincount(reaches.argmax(axis=1), minlength=known.shape[1]).astype(float)

    def log_expected(self, mean: Array, deviation: Array) -> Array:
        more = self._reach(mean[:, None, :] + deviation[:, None, :] * self._draws) - self._reached
        return np.asarray(np.log(np.logaddexp(0.0, np.maximum(more / BLUR, -500.0)).mean(axis=0)))

    def _reach(self, values: Array) -> Array:
        """Objectives (goals, SAMPLES or 1, m) -> how far they dominate in each direction (SAMPLES, m), as volumes."""
        least = ((values - self._worst) / self._directions).min(axis=0)
        return np.asarray(np.sign(least) * np.abs(least) ** len(values))


class Acquisition:
    """What a point is worth looking at: (m, d) features -> (m,).

    Attributes:
        level: (k,) what known points count as; where none is allowed, how likely they are to be
    """

    def __init__(self, known: Beliefs, now: Beliefs, seen: Array, rng: np.random.Generator) -> None:
        """`now`: what is believed once points under way count too; `seen`: features (k, d) of known points."""
        self._now = now
        self.level = np.exp(log_feasibility(known, seen))
        self._improvement: Improvement | None = None
        allowed = self.level >= 0.5
        if allowed.any():
            means = np.array([goal.mean(seen[allowed]) for goal in known.goals])
            self._improvement = BestImprovement(means) if len(means) == 1 else FrontImprovement(means, rng)
            self.level = np.full(len(seen), -np.inf)
            self.level[allowed] = self._improvement.level

    def __call__(self, features: Array) -> Array:
        feasible = log_feasibility(self._now, features)
        if self._improvement is None:
            return feasible
        mean, deviation = np.array([goal.at(features) for goal in self._now.goals]).swapaxes(0, 1)
        return self._improvement.log_expected(mean, deviation) + feasible


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
