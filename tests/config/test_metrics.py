"""The table of metrics, and what the configuration makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from owkd.config import (
    COST_METRICS,
    EPOCH_METRICS,
    LEADING_METRICS,
    METRICS,
    PUBLISHED_METRIC,
    TEST_METRICS,
    VALIDATION,
    Config,
    ObjectiveConfig,
    parse_config,
    parse_constraint,
)
from owkd.errors import ConfigError


def search(**section: Any) -> Config:
    return parse_config({"data": {"root": "d", "dataset": "s"}, "search": section})


def test_every_metric_is_measured_in_one_place() -> None:
    assert set(EPOCH_METRICS) | set(COST_METRICS) == set(METRICS)
    assert not set(EPOCH_METRICS) & set(COST_METRICS)
    assert all(name.startswith(VALIDATION) == (name in EPOCH_METRICS) for name in METRICS)
    assert PUBLISHED_METRIC in LEADING_METRICS
    assert TEST_METRICS == ("mAP", "rank-1", "mINP")


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_may_be_an_objective_and_a_constraint(name: str) -> None:
    assert ObjectiveConfig(metric=name).direction == METRICS[name].direction
    assert parse_constraint(f"{name} <= 5") == (name, "<=", 5.0)
    objectives = [{"metric": name}] if name in LEADING_METRICS else [{"metric": PUBLISHED_METRIC}, {"metric": name}]
    assert name in search(objectives=objectives).search.judged_metrics


@pytest.mark.parametrize("place", ["objectives", "scheduler"])
def test_an_unknown_metric_is_refused_with_the_nearest(place: str) -> None:
    wrong = {"metric": "val/map"}
    with pytest.raises(ConfigError) as refused:
        search(**{place: [wrong] if place == "objectives" else wrong})
    problem = refused.value.problems[0]
    assert f"must be one of {', '.join(METRICS)} (the nearest is val/mAP), but got 'val/map'" in problem


def test_the_documentation_names_every_metric() -> None:
    text = (Path(__file__).parents[2] / "docs" / "search-space.md").read_text(encoding="utf-8")
    assert [name for name in METRICS if f"`{name}`" not in text] == []
