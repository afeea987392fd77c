"""The power of a plan in words: a sentence that its figures carry, and a warning where a lead would be missed."""

from __future__ import annotations

from typing import Any

import pytest

from owkd.config import parse_config
from search.planning.power import PlannedPower


def planned(**retrain: Any) -> PlannedPower:
    return PlannedPower.of(parse_config({"data": {"root": "d", "dataset": "s"}, "retrain": retrain}))


def test_the_default_in_words() -> None:
    assert planned().in_words() == (
        "11 test seeds show a lead of 2.0 points of test mAP with 80 %; as many as 2.0 points take; "
        "a training's spread of 1.5 points is the default, not measured"
    )
    assert list(planned().warnings()) == []


def test_too_few_seeds_are_warned_of() -> None:
    power = planned(seeds=5, spread=0.02)
    assert power.in_words() == (
        "5 test seeds show a lead of 4.4 points of test mAP with 80 %; 18 seeds are what 2.0 points take; "
        "a training's spread of 2.0 points is retrain.spread"
    )
    (warning,) = power.warnings()
    assert warning.startswith("retrain.seeds=5 must be at least 18 to show retrain.smallest_lead=0.02 with 80 %")
    assert warning.endswith("set retrain.seeds: 18, or a larger retrain.smallest_lead")


def test_a_default_that_stops_short_says_so() -> None:
    (warning,) = planned(spread=0.1).warnings()
    assert warning.startswith("40 seeds, the most by default, must be at least 421 to show")


@pytest.mark.parametrize("spread", [None, 0.02])
def test_one_seed_allows_no_test(spread: float | None) -> None:
    power = planned(seeds=1, spread=spread)
    assert power.in_words().startswith("one test seed allows no test; set retrain.seeds to 2 or more")
    assert list(power.warnings()) == []


def test_for_scripts() -> None:
    tree = planned(seeds=5).to_dict()
    assert tree["detectable_lead"] == pytest.approx(0.0329, abs=1e-4)
    assert (tree["test_seeds"], tree["seeds_for_smallest_lead"], tree["spread_from"]) == (5, 11, "default")
