"""A simplex as coordinates in which no two points are the same: k weights as k - 1 numbers, by breaking a stick.

A simplex of k weights is drawn as k numbers, of which every multiple means the same weights. Here it is k - 1:
`t_i = 1 - (1 - w_i / rest_i)^(k - 1 - i)`, with rest_i what the weights before it leave of their sum and i from 0. For
weights that are uniform on the simplex these are independent and uniform in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def break_stick(weights: Sequence[float]) -> list[float]:
    """k weights of any positive sum -> k - 1 coordinates in [0, 1]; after a stick that is used up, 0."""
    rest = float(sum(weights))
    coordinates = []
    for i, weight in enumerate(weights[:-1]):
        share = min(1.0, weight / rest) if rest > 0 else 0.0
        coordinates.append(1 - (1 - share) ** (len(weights) - 1 - i))
        rest -= weight
    return coordinates


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
