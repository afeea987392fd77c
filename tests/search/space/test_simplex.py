"""A simplex as coordinates: exact both ways, and uniform."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from search.space.simplex import break_stick, join_stick

WEIGHTS = st.lists(st.floats(0.0, 10.0), min_size=2, max_size=5).filter(lambda weights: sum(weights) > 1e-3)


def test_a_stick_by_hand() -> None:
    # 1 of 4: the first of three breaks takes a quarter: 1 - (3/4)^2; then 1 of 3, then 2
    assert break_stick([1, 1, 2]) == pytest.approx([1 - 0.75**2, 1 / 3])
    assert join_stick([1 - 0.75**2, 1 / 3]) == pytest.approx([0.25, 0.25, 0.5])
    assert break_stick([0, 0, 1]) == [0, 0]
    assert break_stick([3, 0, 0]) == [1, 0]
    assert join_stick([1, 0.7]) == [1, 0, 0]


@given(WEIGHTS)
def test_weights_come_back_as_their_shares(weights: list[float]) -> None:
    coordinates = break_stick(weights)
    assert all(0 <= coordinate <= 1 for coordinate in coordinates)
    # a power of (k - 1 - i) costs digits where a weight is nearly the whole rest
    assert join_stick(coordinates) == pytest.approx([weight / sum(weights) for weight in weights], abs=1e-4)


def test_uniform_weights_have_uniform_independent_coordinates() -> None:
    drawn = np.random.default_rng(0).dirichlet([1] * 4, size=4000)
    coordinates = np.array([break_stick(list(weights)) for weights in drawn])
    for column in coordinates.T:
        assert kstest(column, "uniform").pvalue > 0.01
    assert np.abs(np.corrcoef(coordinates.T) - np.eye(3)).max() < 0.05
