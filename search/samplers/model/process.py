"""A Gaussian process over points and how far a training has come.

f(x, u) has the covariance  s k(x, x') (1 + b u u'),  u = 0 at the end of a training and more the earlier it was left.
So what is known early tells of the end as far as the data bear it out (after the linear truncated fidelity kernel of
Wu, Toscano-Palmerin, Frazier and Wilson, 2019). k is Matern 5/2 with a length scale for each feature (Snoek et al.
2012).

Hyperparameters are the most probable ones under priors. Length scales are expected to be longer the more features there
are, as distances grow with them (Hvarfner, Hellsten and Nardi 2024).

n: rows, m: points asked about, d: features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

LEVEL = 1.0
"""variance of the mean, in units of the spread of the values"""
LENGTH = (-1.2, 0.5)
"""mean and standard deviation of the logarithm of a length scale, over the root of d"""
REACH = 6.0
"""widths of the priors within which hyperparameters stay"""
STEPS = 60
"""of the ascent to them, at most"""
ALIKE = 0.5
"""share of the noise that rows of one trial have in common: the luck of the training, beside that of the epoch"""


@dataclass(frozen=True)
class Rows:
    """What was seen.

    Attributes:
        features: (n, d)
        lag: (n,) 0 at the end of a training
        values: (n,) of mean 0 and spread 1, about
        scale: (n,) how much larger the noise is than that of a complete training
        trial: (n,) rows with the same number are of one training
    """

    features: Array
    lag: Array
    values: Array
    scale: Array
    trial: NDArray[np.int64]

    def noise(self) -> Array:
        """(n, n) covariance of the noise, over its variance."""
        together = ALIKE * (self.trial[:, None] == self.trial[None, :])
        own = (1 - ALIKE) * np.eye(len(self.trial))
        return np.asarray((together + own) * np.outer(self.scale, self.scale))


@dataclass(frozen=True)
class Hyper:
    """Hyperparameters.

    Attributes:
        lengths: (d,)
        noise: variance
        signal: variance
        early: b
    """

    lengths: Array
    noise: float
    signal: float
    early: float

    @classmethod
    def of(cls, theta: Array) -> Hyper:
        """Of their logarithms (d + 3,)."""
        grown = np.exp(theta)
        return cls(grown[:-3], float(grown[-3]), float(grown[-2]), float(grown[-1]))


class Posterior:
    """The process, given what was seen."""

    def __init__(self, rows: Rows, hyper: Hyper) -> None:
        self.rows, self.hyper = rows, hyper
        self._factor = _cholesky(_covariance(rows, rows, hyper) + hyper.noise * rows.noise())
        self._weights = cho_solve((self._factor, True), rows.values)

    def at(self, features: Array, lag: float = 0.0) -> tuple[Array, Array]:
        """Points (m, d) -> mean (m,) and standard deviation (m,) of f there."""
        asked = _at(features, lag)
        cross = _covariance(self.rows, asked, self.hyper)
        half = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        prior = LEVEL + self.hyper.signal * (1 + self.hyper.early * lag * lag)
        return cross.T @ self._weights, np.sqrt(np.maximum(prior - np.sum(half * half, axis=0), 1e-12))

    def believing(self, features: Array) -> Posterior:
        """The process if it were right about these points (m, d): what is under way (Ginsbourger et al. 2010)."""
        if not len(features):
            return self
        rows, asked = self.rows, _at(features, 0.0)
        number = rows.trial.max(initial=0) + 1 + np.arange(len(features))
        return Posterior(
            Rows(
                np.vstack([rows.features, asked.features]),
                np.concatenate([rows.lag, asked.lag]),
                np.concatenate([rows.values, self.at(features)[0]]),
                np.concatenate([rows.scale, asked.scale]),
                np.concatenate([rows.trial, number]),
            ),
            self.hyper,
        )


def fit(rows: Rows) -> Hyper:
    """The most probable hyperparameters."""
    d = rows.features.shape[1]
    middle, width = _priors(d)
    far = rows.noise()

    def loss(theta: Array) -> tuple[float, Array]:
        value, slope = _evidence(rows, far, theta)
        away = (theta - middle) / width
        return 0.5 * float(away @ away) - value, away / width - slope

    bounds = [(low, high) for low, high in zip(middle - REACH * width, middle + REACH * width, strict=True)]
    found = minimize(loss, middle, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    return Hyper.of(found.x)


def _priors(d: int) -> tuple[Array, Array]:
    """Means and standard deviations of the logarithms (d + 3,)."""
    middle = [*[LENGTH[0] + 0.5 * np.log(d)] * d, -4.0, 0.0, -1.0]
    return np.array(middle), np.array([*[LENGTH[1]] * d, 1.0, 1.0, 1.0])


def _evidence(rows: Rows, far: Array, theta: Array) -> tuple[float, Array]:
    """Log marginal likelihood and its slope along the logarithms of the hyperparameters (d + 3,)."""
    hyper = Hyper.of(theta)
    scaled = rows.features / hyper.lengths
    distance = np.sqrt(5 * _squares(scaled, scaled))
    falling = np.exp(-distance)
    early = hyper.early * rows.lag[:, None] * rows.lag[None, :]
    shape = hyper.signal * (1 + distance + distance**2 / 3) * falling
    signal = shape * (1 + early)
    try:
        factor = _cholesky(signal + LEVEL + hyper.noise * far)
    except np.linalg.LinAlgError:
        return -1e10, np.zeros_like(theta)
    weights = cho_solve((factor, True), rows.values, check_finite=False)
    value = -0.5 * rows.values @ weights - np.log(np.diag(factor)).sum()
    inverse = cho_solve((factor, True), np.eye(len(weights)), check_finite=False)
    pull = np.outer(weights, weights) - inverse
    nearer = pull * (5 / 3) * hyper.signal * (1 + distance) * falling * (1 + early)
    lengths = nearer.sum(axis=1) @ scaled**2 - np.sum(scaled * (nearer @ scaled), axis=0)
    others = [0.5 * np.sum(pull * part) for part in (hyper.noise * far, signal, shape * early)]
    return float(value), np.concatenate([lengths, others])


def _covariance(left: Rows, right: Rows, hyper: Hyper) -> Array:
    distance = np.sqrt(5 * _squares(left.features / hyper.lengths, right.features / hyper.lengths))
    shape = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return np.asarray(LEVEL + hyper.signal * shape * (1 + hyper.early * np.outer(left.lag, right.lag)))


def _squares(left: Array, right: Array) -> Array:
    """Squared distances (n, m)."""
    found = np.sum(left**2, axis=1)[:, None] + np.sum(right**2, axis=1)[None, :] - 2 * left @ right.T
    return np.asarray(np.maximum(found, 0.0))


def _cholesky(covariance: Array) -> Array:
    factor, _ = cho_factor(covariance + 1e-8 * np.eye(len(covariance)), lower=True, check_finite=False)
    return np.asarray(factor)


def _at(features: Array, lag: float) -> Rows:
    n = len(features)
    return Rows(features, np.full(n, lag), np.zeros(n), np.ones(n), np.arange(n))
