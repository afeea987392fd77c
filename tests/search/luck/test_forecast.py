"""What a training can still come to, against a simulation of trainings that rise alike."""

from __future__ import annotations

import numpy as np
import pytest

from search.luck.forecast import ERROR, FEWEST, Rises


def rises_of(curves: list[list[float]]) -> Rises:
    rises = Rises()
    for curve in curves:
        rises.add(curve)
    return rises


def test_of_trainings_that_rise_alike_so_many_come_higher_as_promised(rng: np.random.Generator) -> None:
    higher = []
    for _ in range(1000):
        ends = rng.uniform(0.2, 0.8, size=FEWEST + 1)
        early = ends / np.exp(rng.normal(0.5, 0.2, size=FEWEST + 1))
        *known, asked = np.stack([early, ends], axis=1).tolist()
        highest = rises_of(known).highest(asked[0], 1, 2)
        assert highest is not None
        higher.append(asked[1] > highest)
    assert np.mean(higher) == pytest.approx(ERROR, abs=0.025)


def test_where_all_rise_by_one_factor_so_does_the_next() -> None:
    rises = rises_of([[0.1 * n, 0.15 * n, 0.2 * n] for n in (1, 2, 3, 4)])
    assert rises.highest(0.3, 1, 3) == pytest.approx(0.6)
    assert rises.highest(0.3, 2, 3) == pytest.approx(0.4)


def test_nobody_can_say_of_few_of_other_lengths_or_of_nothing_learned() -> None:
    curves = [[0.1, 0.2, 0.3]] * FEWEST
    assert rises_of(curves[1:]).highest(0.1, 1, 3) is None
    assert rises_of(curves).highest(0.1, 1, 4) is None
    assert rises_of(curves).highest(0.0, 1, 3) is None
    assert rises_of([*curves[1:], [0.0, 0.2, 0.3]]).highest(0.1, 1, 3) is None
    assert rises_of(curves).highest(0.1, 1, 3) == pytest.approx(0.3)
