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

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dtrtri
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
BLOCK = 128
"""points that are asked about at once, so that their covariances stay in the processor's cache"""
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
        together = np.where(self.trial[:, None] == self.trial, ALIKE, 0.0)
        np.fill_diagonal(together, 1.0)
        together *= self.scale[:, None]
        together *= self.scale
        return together


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
        self.hyper = hyper
        self._known = _Places.of(rows.features, rows.lag, hyper)
        self._root = _inverse_root(_covariance(self._known, self._known, hyper) + hyper.noise * rows.noise())
        self._weights = self._root.T @ (self._root @ rows.values)

    def mean(self, features: Array) -> Array:
        """Points (m, d) -> mean (m,) of f there, at the end of a training."""
        blocks = (features[start : start + BLOCK] for start in range(0, len(features), BLOCK))
        return np.concatenate([np.empty(0), *(self._cross(block, 0.0)[1] for block in blocks)])

    def at(self, features: Array, lag: float = 0.0) -> tuple[Array, Array]:
        """Points (m, d) -> mean (m,) and standard deviation (m,) of f there."""
        mean, known = np.empty(len(features)), np.empty(len(features))
        for start in range(0, len(features), BLOCK):
            block = slice(start, start + BLOCK)
            cross, mean[block] = self._cross(features[block], lag)
            half = dtrmm(1.0, self._root, cross.T, lower=True, overwrite_b=True)
            known[block] = np.einsum("nm,nm->m", half, half)
        prior = LEVEL + self.hyper.signal * (1 + self.hyper.early * lag * lag)
        return mean, np.sqrt(np.maximum(prior - known, 1e-12))

    def _cross(self, features: Array, lag: float) -> tuple[Array, Array]:
        """Points (m, d) -> their covariances (m, n) with what is known, and what is expected there (m,)."""
        cross = _covariance(_Places.of(features, lag, self.hyper), self._known, self.hyper)
        return cross, cross[:, : len(self._weights)] @ self._weights

    def believing(self, features: Array) -> Posterior:
        """The process if it were right about these points (m, d): what is under way (Ginsbourger et al. 2010).

        What it expects stays as it is everywhere, and it is surer: rows are added to the root, and no weights.
        """
        if not len(features):
            return self
        asked = _Places.of(features, 0.0, self.hyper)
        half = self._root @ _covariance(self._known, asked, self.hyper)
        own = _covariance(asked, asked, self.hyper) + self.hyper.noise * np.eye(len(features))
        root = _inverse_root(own - half.T @ half)
        wider = copy(self)
        wider._known = self._known.followed_by(asked)
        n = len(self._root)
        wider._root = np.zeros((n + len(root), n + len(root)), order="F")
        wider._root[:n, :n] = self._root
        wider._root[n:, :n] = -root @ half.T @ self._root
        wider._root[n:, n:] = root
        return wider


@dataclass(frozen=True)
class _Places:
    """Where the process is known or asked about.

    Attributes:
        scaled: (n, d) features over the length scales
        squares: (n,) of their distances from the origin
        lag: (n,), or one for all
    """

    scaled: Array
    squares: Array
    lag: Array

    @classmethod
    def of(cls, features: Array, lag: Array | float, hyper: Hyper) -> _Places:
        """Of features (n, d)."""
        scaled = features / hyper.lengths
        return cls(scaled, np.einsum("nd,nd->n", scaled, scaled), np.broadcast_to(lag, len(features)))

    def followed_by(self, others: _Places) -> _Places:
        """Both."""
        parts = zip(vars(self).values(), vars(others).values(), strict=True)
        return _Places(*(np.concatenate(pair) for pair in parts))


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


def _covariance(left: _Places, right: _Places, hyper: Hyper) -> Array:
    """(n, m) of f; computed in place, since most of the time of a proposal goes here."""
    distance = left.scaled @ right.scaled.T
    distance *= -2
    distance += left.squares[:, None]
    distance += right.squares
    distance *= 5
    np.sqrt(np.maximum(distance, 0.0, out=distance), out=distance)
    shape = distance / 3
    shape += 1
    shape *= distance
    shape += 1
    shape *= np.exp(np.negative(distance, out=distance), out=distance)
    shape *= hyper.signal
    if left.lag.any() and right.lag.any():
        shape *= 1 + hyper.early * np.outer(left.lag, right.lag)
    shape += LEVEL
    return np.asarray(shape)


def _squares(left: Array, right: Array) -> Array:
    """Squared distances (n, m)."""
    found = np.sum(left**2, axis=1)[:, None] + np.sum(right**2, axis=1)[None, :] - 2 * left @ right.T
    return np.asarray(np.maximum(found, 0.0))


def _cholesky(covariance: Array) -> Array:
    factor, _ = cho_factor(covariance + 1e-8 * np.eye(len(covariance)), lower=True, check_finite=False)
    return np.asarray(factor)


def _inverse_root(covariance: Array) -> Array:
    """The lower triangle W with W C W' = 1: products with it are twice as fast as solving with Cholesky's factor."""
    inverse, _ = dtrtri(np.tril(_cholesky(covariance)), lower=True)
    return np.asarray(inverse)
