"""The table of `owkd trials`: one row a trial, one column a fact."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from launch.output.trials import trial_table
from search.results.listing import PARETO
from search.results.schema import METRIC, PARAM


def trial(number: int, **facts: Any) -> dict[str, Any]:
    """A complete trial, by the columns of the listing."""
    return {
        "trial": number,
        "state": "complete",
        "feasible": True,
        "fixed": None,
        "error_text": None,
        "objective": 0.5,
        "best_step": 3,
        "last_step": 6,
        "look": 1,
        "parts": 1,
        "parts_trained": 1.0,
        **facts,
    }


def cells(*rows: dict[str, Any]) -> list[list[str]]:
    """Header and rows, as they are printed."""
    printed = StringIO()
    console = Console(file=printed, width=200)
    console.print(trial_table("runs/a", rows))
    lines = [line.translate(str.maketrans("┃│", "||")) for line in printed.getvalue().splitlines()]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_one_objective_has_a_column_under_that_name() -> None:
    weights = {f"{PARAM}distill.teacher_weights.{name}": value for name, value in (("original", 1.5), ("gce", 0.25))}
    assert cells(
        trial(1, **{f"{METRIC}val/mAP": 0.98765}, **weights, **{f"{PARAM}distill.logit": 0.01234, f"{PARAM}a.b": None}),
        trial(0, **{f"{METRIC}val/mAP": None}, fixed="published weights", best_step=None),
    ) == [
        ["trial", "state", "objective", "step", "parameters"],
        ["1", "complete", "0.9877", "3/6", "teacher_weights 1.50/0.25, logit 0.0123"],
        ["0", "complete", "", "", "published weights"],
    ]


def test_several_objectives_have_a_column_each_and_the_front_a_mark() -> None:
    names = (f"{METRIC}val/mAP", f"{METRIC}parameters")
    rows = (
        trial(4, **dict(zip(names, (0.5, 123456.0), strict=True)), **{PARETO: True}),
        trial(5, **dict(zip(names, (0.25, 12.345), strict=True)), **{PARETO: False}, feasible=False),
        trial(6, **dict.fromkeys(names), **{PARETO: False}, state="failed", error_text="out of memory"),
    )
    assert cells(*rows) == [
        ["trial", "state", "val/mAP", "parameters", "step", "parameters"],
        ["* 4", "complete", "0.5000", "123,456", "3/6", ""],
        ["5", "complete, infeasible", "0.2500", "12.35", "3/6", ""],
        ["6", "failed", "", "", "3/6", "out of memory"],
    ]
    assert "Pareto" in str(trial_table("runs/a", rows).caption)


@pytest.mark.parametrize(("rows", "title"), [((), "0 trials of runs/a"), ((trial(0),), "1 trials of runs/a")])
def test_a_run_without_metrics_has_a_table_too(rows: tuple[dict[str, Any], ...], title: str) -> None:
    table = trial_table("runs/a", rows)
    assert str(table.title).startswith(title)
    assert [column.header for column in table.columns] == ["trial", "state", "objective", "step", "parameters"]


def test_a_figure_that_is_not_over_all_parts_says_so_and_a_further_look_too() -> None:
    rows = (
        trial(3, parts=2, parts_trained=2.0, objective=0.287, look=2, **{f"{PARAM}distill.logit": 0.5}),
        trial(7, parts=2, parts_trained=1.0, objective=0.297, state="pruned"),
        trial(8, parts=2, parts_trained=1.25, objective=None, state="running"),
    )
    assert [line[2] for line in cells(*rows)] == ["objective", "0.2870", "0.2970 on 1 of 2 parts", ""]
    assert cells(*rows)[1][-1] == "logit 0.5 (look 2 at these values)"
