"""The test seeds of a configuration follow from the lead that shall not be missed."""

from __future__ import annotations

from typing import Any

import pytest

from owkd.config import SPREAD, Config, RetrainConfig, parse_config
from owkd.errors import ConfigError
from search.power import FIRST_LOOK, MOST_BY_DEFAULT, number_of_seeds, seed_count
from search.power.welch import power_of
from search.trials.budget import Budget


def config_of(number_of_folds: int = 1, **retrain: Any) -> Config:
    names = [f"Fold{number}" for number in range(number_of_folds)]
    return parse_config({"data": {"root": "d", "dataset": "s", "folds": names}, "retrain": retrain})


def test_the_default_shows_two_points_with_eighty_percent_and_no_fewer_do() -> None:
    seeds = number_of_seeds(config_of())
    assert power_of(0.02, seeds - 1, SPREAD, FIRST_LOOK) < 0.8 <= power_of(0.02, seeds, SPREAD, FIRST_LOOK)
    assert seeds == 11


@pytest.mark.parametrize(
    ("retrain", "seeds"),
    [({"seeds": 3}, 3), ({"smallest_lead": 0.04}, 4), ({"spread": 0.0001}, 2), ({"spread": 0.2}, MOST_BY_DEFAULT)],
)
def test_it_follows_from_lead_and_spread_unless_it_is_configured(retrain: dict[str, Any], seeds: int) -> None:
    config = config_of(**retrain)
    assert number_of_seeds(config) == Budget.of(config).test_seeds == seeds
    assert Budget.of(config).test_models == 3 * seeds


def test_figures_that_are_means_over_folds_spread_less() -> None:
    whole, half = config_of(spread=0.03, smallest_lead=0.03), config_of(4, spread=0.06, smallest_lead=0.03)
    assert number_of_seeds(whole) == number_of_seeds(half)
    counted = config_of(4, spread=0.06, smallest_lead=0.03, folds=["Fold0"])
    assert number_of_seeds(counted) > number_of_seeds(half)


def test_what_few_seeds_can_show() -> None:
    count = seed_count(config_of(seeds=5))
    assert count.detectable is not None
    assert power_of(count.detectable, 5, SPREAD, FIRST_LOOK) == pytest.approx(0.8)
    assert (count.wanted, count.enough, count.configured, count.spread) == (11, False, True, SPREAD)
    assert seed_count(config_of(seeds=1)).detectable is None
    assert seed_count(config_of()).enough


def test_a_spread_that_somebody_measured_says_what_it_takes_but_adds_no_seeds() -> None:
    count = seed_count(config_of(), spread=0.03)
    assert (count.seeds, count.configured) == (11, False)
    assert count.wanted == number_of_seeds(config_of(spread=0.03)) > 11


@pytest.mark.parametrize(
    "retrain", [{"smallest_lead": 2}, {"smallest_lead": 0}, {"spread": 0}, {"spread": 1.5}, {"seeds": 0}]
)
def test_what_is_no_share_of_one_is_refused_at_reading(retrain: dict[str, Any]) -> None:
    ((name, value),) = retrain.items()
    with pytest.raises(ConfigError, match=rf"retrain\.{name}: .* but got {value}"):
        config_of(**retrain)


def test_the_least_lead_and_the_widest_spread_have_an_answer() -> None:
    count = seed_count(config_of(smallest_lead=0.001, spread=0.2))
    assert count.wanted > 10**5
    assert count.seeds == MOST_BY_DEFAULT


def test_the_description_names_the_most_by_default() -> None:
    assert f"at most {MOST_BY_DEFAULT}" in str(RetrainConfig.model_fields["seeds"].description)
