"""Epochs -> what a trial is worth, and trials -> an order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from owkd.config import parse_config
from search.trials.objective import (
    ObjectiveAccumulator,
    front_of,
    listed_by,
    ranked,
    ranked_points,
    score_curve,
    violations,
)


def search_of(**search):
    return parse_config({"data": {"root": "d", "dataset": "s"}, "search": search}).search


def view(number: int, objectives: dict[str, float], *, state: str = "complete", feasible: bool = True) -> Any:
    first = next(iter(objectives.values()))
    return SimpleNamespace(number=number, state=state, feasible=feasible, objective=first, objectives=objectives)


MAPS = [0.2, 0.5, 0.5, 0.3]
RANKS = [0.9, 0.4, 0.6, 0.7]


@pytest.mark.parametrize(
    ("reduction", "step", "values"),
    [
        ("best", 2, (0.5, 0.4)),  # the earliest of equals; rank-1 of the same epoch, not its own best
        ("last", 4, (0.3, 0.7)),
        ("mean of last 3", 4, ((0.5 + 0.5 + 0.3) / 3, (0.4 + 0.6 + 0.7) / 3)),
        ("mean of last 9", 4, (1.5 / 4, 2.6 / 4)),
        ("auto", 4, ((0.5 + 0.3) / 2, (0.6 + 0.7) / 2)),
    ],
)
def test_the_reduction_turns_epochs_into_one_number(reduction: str, step: int, values: tuple[float, float]) -> None:
    goals = [{"metric": metric, "reduction": reduction} for metric in ("val/mAP", "val/rank-1")]
    judge = ObjectiveAccumulator(search_of(objectives=goals))
    found = [
        judge.add("one part", {"val/mAP": a, "val/rank-1": b, "other": 9.0}) for a, b in zip(MAPS, RANKS, strict=True)
    ]
    assert (found[-1].values["val/mAP"], found[-1].values["val/rank-1"]) == pytest.approx(values)
    assert found[-1].step == step
    assert [score.scheduler_value for score in found] == MAPS


def test_each_part_is_reduced_by_itself_and_then_the_mean_is_taken() -> None:
    judge = ObjectiveAccumulator(search_of(objectives=[{"reduction": "mean of last 2"}]))
    parts = {"a": [0.1, 0.3, 0.5], "b": [0.8, 0.6, 0.2]}
    found = [judge.add(part, {"val/mAP": value}) for part, curve in parts.items() for value in curve]
    assert [score.values["val/mAP"] for score in found] == pytest.approx(
        [0.1, 0.2, 0.4, (0.4 + 0.8) / 2, (0.4 + 0.7) / 2, (0.4 + 0.4) / 2]
    )
    assert [score.scheduler_value for score in found] == pytest.approx([0.1, 0.3, 0.5, 0.6, 0.5, 0.3])
    assert [score.step for score in found] == [1, 2, 3, 4, 5, 6]


def test_a_trial_is_judged_by_its_best_epoch_on_the_part_under_way() -> None:
    """A high value on the first part alone is no rival of a mean over two."""
    judge = ObjectiveAccumulator(search_of(objectives=[{"reduction": "best"}]))
    found = [judge.add(i // 4, {"val/mAP": value}) for i, value in enumerate([0.9, 0.2, 0.2, 0.2, 0.1, 0.3])]
    assert (found[3].step, found[3].values["val/mAP"]) == (1, 0.9)
    assert found[5].step == 6
    assert found[5].values["val/mAP"] == pytest.approx((0.9 + 0.3) / 2)


def test_the_scheduler_may_compare_by_another_metric_than_the_objective() -> None:
    search = search_of(scheduler={"name": "asha", "metric": "val/rank-1"}, objectives=[{"reduction": "best"}])
    judge = ObjectiveAccumulator(search)
    found = [judge.add(0, {"val/mAP": a, "val/rank-1": b}) for a, b in zip(MAPS, RANKS, strict=True)]
    assert [score.scheduler_value for score in found] == RANKS
    assert found[-1].values == {"val/mAP": 0.5}


def test_a_curve_alone_is_judged_by_the_first_objective() -> None:
    search = search_of(
        objectives=[{"metric": "val/mINP", "reduction": "last"}, {"metric": "latency_ms"}],
        constraints=["flops <= 3"],
        scheduler={"name": "median", "metric": "val/mAP"},
    )
    assert score_curve(search, [0.4, 0.2]).values == {"val/mINP": 0.2}


@pytest.mark.parametrize("reduction", ["auto", "best", "last", "mean of last 2"])
def test_what_the_scheduler_compared_tells_what_each_part_was_worth(reduction: str) -> None:
    search = search_of(objectives=[{"reduction": reduction}])
    judge = ObjectiveAccumulator(search)
    values = np.random.default_rng(0).random(14)  # the third part is under way
    scores = [judge.add(i // 6, {"val/mAP": float(value)}) for i, value in enumerate(values)]
    again = score_curve(search, [score.scheduler_value for score in scores], part_epochs=6)
    assert len(again.parts) == 3
    assert again.parts == pytest.approx(scores[-1].parts)
    assert again.values == pytest.approx(scores[-1].values)
    assert again.step == scores[-1].step


def test_a_list_ranks_complete_trials_and_puts_no_other_among_them() -> None:
    rows = [
        ("complete", 2.0, 0.20),
        ("pruned", 1.0, 0.90),
        ("complete", 2.0, 0.30),
        ("running", 1.5, 0.10),
        ("pruned", 1.0, 0.95),
        ("diverged", 1.9, 0.99),
        ("interrupted", 0.0, None),
        ("error", 0.0, None),
    ]
    order = sorted(range(len(rows)), key=lambda number: listed_by(*rows[number]))
    assert order == [2, 0, 3, 4, 1, 6, 5, 7]


def test_constraints_say_by_how_much_they_are_missed_and_before_the_end_only_costs_count() -> None:
    search = search_of(constraints=["latency_ms <= 5", "val/rank-1 >= 0.8"])
    values = {"latency_ms": 7.5, "val/rank-1": 0.9}
    assert violations(search, values) == pytest.approx({"latency_ms <= 5": 2.5, "val/rank-1 >= 0.8": -0.1})
    assert violations(search, values, at_the_end=False) == {"latency_ms <= 5": 2.5}
    assert violations(search, {}) == {}


def test_one_objective_ranks_complete_feasible_trials_by_value() -> None:
    views = [
        view(0, {"val/mAP": 0.5}),
        view(1, {"val/mAP": 0.9}, state="pruned"),
        view(2, {"val/mAP": 0.8}, feasible=False),
        view(3, {"val/mAP": 0.7}),
        view(4, {"val/mAP": 0.7}),
    ]
    assert [found.number for found in ranked(search_of(), views)] == [3, 4, 0]


def dominates(one, other) -> bool:
    a = (one.objectives["val/mAP"], -one.objectives["latency_ms"])
    b = (other.objectives["val/mAP"], -other.objectives["latency_ms"])
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


def test_several_objectives_rank_in_fronts_as_a_plain_definition_has_them() -> None:
    search = search_of(objectives=[{"metric": "val/mAP"}, {"metric": "latency_ms"}])
    generator = np.random.default_rng(0)
    views = [
        view(i, {"val/mAP": round(float(a), 1), "latency_ms": round(float(b), 1)})
        for i, (a, b) in enumerate(generator.random((40, 2)))
    ]
    first = {one.number for one in views if not any(dominates(other, one) for other in views)}
    assert front_of(search, views) == first
    assert 1 < len(first) < 40
    order = ranked(search, views)
    assert sorted(found.number for found in order) == list(range(40))
    assert {found.number for found in order[: len(first)]} == first
    values = [found.objectives["val/mAP"] for found in order[: len(first)]]
    assert values == sorted(values, reverse=True)
    for i, one in enumerate(order):
        assert not any(dominates(later, one) for later in order[i + 1 :])


def test_no_trial_makes_no_front() -> None:
    assert front_of(search_of(), []) == set()
    assert ranked(search_of(objectives=[{"metric": "val/mAP"}, {"metric": "flops"}]), []) == []


def test_a_point_with_several_looks_counts_as_their_mean_and_not_as_its_luckiest() -> None:
    views = [view(number, {"val/mAP": value}) for number, value in enumerate([0.70, 0.60, 0.66, 0.40])]
    for each, values in zip(views, [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 1}], strict=True):
        each.values = values
    assert [found.number for found in ranked(search_of(), views)] == [0, 2, 1, 3]
    assert [found.number for found in ranked_points(search_of(), views)] == [2, 1, 0]
