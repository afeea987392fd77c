"""The points of a space as a sampler needs them that measures distances: no number too many, none twice.

A simplex of k weights is drawn as k numbers, of which every multiple means the same weights. Here it is k - 1, by
breaking a stick: `t_i = 1 - (1 - w_i / rest_i)^(k - 1 - i)`, with rest_i what the weights before it leave of their sum
and i from 0. For weights that are uniform on the simplex these are independent and uniform in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from owkd.config import SIMPLEXES, Simplex
from search.space.parameters import Space, distributions, nearest, resolve


class Coordinates:
    """Optuna's parameters of a space <-> its coordinates. Entries must have no conditions."""

    def __init__(self, space: Space) -> None:
        self._simplexes = [path for path, entry in space.items() if isinstance(entry, Simplex)]
        self._space = space
        plain = {path: entry for path, entry in space.items() if path not in self._simplexes}
        self._plain = {name: found for name, found in distributions(plain).items() if not found.single()}
        self.distributions: dict[str, BaseDistribution] = {
            **self._plain,
            **{name: FloatDistribution(0.0, 1.0) for path in self._simplexes for name in _names(path)},
        }

    @property
    def params(self) -> dict[str, BaseDistribution]:
        """Optuna's parameters that have coordinates: all of the space but those of a single value."""
        weights = {path: self._space[path] for path in self._simplexes}
        return {**self._plain, **distributions(weights)}

    def of(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Coordinates of a point."""
        found = {name: params[name] for name in self._plain}
        for path in self._simplexes:
            weights = resolve({path: self._space[path]}, params)[path]
            found |= dict(zip(_names(path), break_stick(list(weights.values())), strict=True))
        return found

    def to_params(self, coordinates: Mapping[str, Any]) -> dict[str, Any]:
        """The point at these coordinates."""
        found = {name: coordinates[name] for name in self._plain}
        for path in self._simplexes:
            weights = join_stick([coordinates[name] for name in _names(path)])
            parts = SIMPLEXES[path]
            of_sum = dict(zip(parts, (len(parts) * weight for weight in weights), strict=True))
            found |= nearest(path, self._space[path], of_sum)
        return found


def break_stick(weights: Sequence[float]) -> list[float]:
    """k weights of any positive sum -> k - 1 coordinates in [0, 1]; after a stick that is used up, 0."""
    rest = float(sum(weights))
    found = []
    for i, weight in enumerate(weights[:-1]):
        share = min(1.0, weight / rest) if rest > 0 else 0.0
        found.append(1 - (1 - share) ** (len(weights) - 1 - i))
        rest -= weight
    return found


def join_stick(coordinates: Sequence[float]) -> list[float]:
    """k - 1 coordinates in [0, 1] -> k weights of sum 1."""
    return list(_pieces(coordinates))


def _pieces(coordinates: Sequence[float]) -> Iterator[float]:
    rest = 1.0
    for i, coordinate in enumerate(coordinates):
        share = 1 - (1 - coordinate) ** (1 / (len(coordinates) - i))
        yield rest * share
        rest *= 1 - share
    yield rest


def _names(path: str) -> list[str]:
    return [f"{path}.{part}" for part in SIMPLEXES[path][:-1]]
