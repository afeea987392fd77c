"""Simplexes as coordinates: exact both ways, uniform, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from owkd.config import parse_config
from search.space.parameters import resolve
from search.space.simplex import Coordinates, break_stick, join_stick

SPACE = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.temperature": {"type": "categorical", "choices": [2.0]},
    "distill.stage_weights": {"type": "simplex"},
    "distill.logit": {"type": "fixed", "value": 0.1},
    "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
}
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


def test_a_point_of_a_space_comes_back_without_what_has_a_single_value() -> None:
    space = parse_config({"data": {"root": "d", "dataset": "s"}, "search": {"space": SPACE}}).search.space
    coordinates = Coordinates(space)
    weights = {f"distill.stage_weights.{part}" for part in ("stage1", "stage2", "stage3")}
    assert coordinates.distributions.keys() == {"distill.gram", "train.precision", *weights}
    drawn = {f"distill.stage_weights.u_stage{i}": 0.1 * i for i in range(1, 5)}
    params = {"distill.gram": 3e-5, "distill.temperature": 2.0, "train.precision": "bf16", **drawn}
    assert coordinates.params.keys() == params.keys() - {"distill.temperature"}
    back = coordinates.to_params(coordinates.of(params))
    assert back.keys() == coordinates.params.keys()
    assert (back["distill.gram"], back["train.precision"]) == (3e-5, "bf16")
    assert all(coordinates.params[name]._contains(back[name]) for name in drawn)
    simplex = {"distill.stage_weights": space["distill.stage_weights"]}
    before, after = (resolve(simplex, point)["distill.stage_weights"] for point in (params, back))
    assert after == pytest.approx(before)
