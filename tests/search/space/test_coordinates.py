"""A space in coordinates: nothing is lost, and what has a single value is left out."""

from __future__ import annotations

import pytest

from owkd.config import parse_config
from search.space import Coordinates, resolve

SPACE = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.temperature": {"type": "categorical", "choices": [2.0]},
    "distill.stage_weights": {"type": "simplex"},
    "distill.logit": {"type": "fixed", "value": 0.1},
    "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
}


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
