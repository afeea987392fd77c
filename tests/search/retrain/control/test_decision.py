"""Whether a run has a control, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from owkd.config import Config, parse_config
from search.retrain.control import decide_on_control
from search.schedulers import expected_epochs
from search.trials.budget import Budget
from tests.support.fake_training import fake_config

RETRAIN = {"top_k": 2, "choice_budget": 2, "seeds": 4}
REST = (2 + 3 * 4) * 4
"""epochs of its choice and its tests"""


def config_of(tmp_path: Path, retrain: dict[str, Any] | None = None, **search: Any) -> Config:
    section = {"sampler": {"name": "tpe"}, **search}
    return parse_config({**fake_config(tmp_path, **section), "retrain": {**RETRAIN, **(retrain or {})}})


@pytest.mark.parametrize(("trials", "is_on"), [(16, True), (17, False)])
def test_by_itself_it_is_on_while_it_costs_no_more_than_the_rest(tmp_path: Path, trials: int, is_on: bool) -> None:
    config = config_of(tmp_path, trials=trials)
    assert Budget.of(config).final_epochs == REST == 56
    decision = decide_on_control(config)
    assert (decision.is_on, decision.epochs) == (is_on, 4 * (trials - 2))
    assert f"about {4 * (trials - 2)} epochs, {'no ' if is_on else ''}more than the 56 of the rest" in decision.reason
    assert str(decision).startswith("on: " if is_on else "off: ")
    assert ("`retrain.control: on` insists" in decision.reason) != is_on


def test_what_a_scheduler_saves_counts(tmp_path: Path) -> None:
    asha = {"name": "asha", "grace_epochs": 1, "reduction_factor": 2}
    config = config_of(tmp_path, trials=20, scheduler=asha)
    decision = decide_on_control(config)
    assert decision.epochs == expected_epochs(config.search.scheduler, 18, 4)
    assert decision.epochs < REST < 4 * 18
    assert decision.is_on
    unknown = decide_on_control(config_of(tmp_path, trials=20, scheduler={"name": "median"}))
    assert (unknown.is_on, unknown.epochs) == (False, 4 * 18)
    assert "up to 72 epochs" in unknown.reason


@pytest.mark.parametrize(("wish", "is_on"), [(True, True), (False, False), ("on", True), ("off", False)])
def test_it_can_be_insisted_on_and_switched_off(tmp_path: Path, wish: bool | str, is_on: bool) -> None:
    for trials in (3, 100):
        decision = decide_on_control(config_of(tmp_path, {"control": wish}, trials=trials))
        assert decision.is_on is is_on
        assert f"retrain.control is {'on' if is_on else 'off'}" in decision.reason


@pytest.mark.parametrize("wish", ["auto", True])
def test_a_random_search_needs_none_and_one_without_trials_has_none(tmp_path: Path, wish: bool | str) -> None:
    random = decide_on_control(config_of(tmp_path, {"control": wish}, sampler={"name": "random"}))
    assert (random.is_on, random.reason) == (False, "the search itself draws at random")
    alone = decide_on_control(config_of(tmp_path, {"control": wish}, trials=2))
    assert (alone.is_on, alone.epochs, alone.reason) == (False, 0, "the search proposes no trial")
