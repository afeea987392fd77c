"""The table of `owkd trials`: one row a trial, one column a fact."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from launch.output.trials import Beside, trial_table
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


def cells(*rows: dict[str, Any], beside: Beside | None = None, width: int | None = None) -> list[list[str]]:
    """Header and rows, as they are printed."""
    printed = StringIO()
    console = Console(file=printed, width=width or 200)
    console.print(trial_table("3 trials of runs/a", rows, beside, width))
    lines = [line.translate(str.maketrans("┃│", "||")) for line in printed.getvalue().splitlines()]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")]


WEIGHTS = {f"{PARAM}distill.teacher_weights.{name}": value for name, value in (("original", 1.5), ("gce", 0.25))}


def test_one_objective_has_a_column_under_the_name_of_its_metric() -> None:
    rows = (
        trial(1, **{f"{METRIC}val/mAP": 0.98765}, objective=0.98765, **WEIGHTS, **{f"{PARAM}distill.logit": 0.01234}),
        trial(0, **{f"{METRIC}val/mAP": None, f"{PARAM}a.b": None}, objective=None, fixed="published weights"),
    )
    assert cells(*rows, beside=Beside("val/mAP")) == [
        ["trial", "state", "val/mAP", "epochs", "parameters"],
        ["1", "complete", "0.9877", "6/6", "teacher_weights 1.50/0.25, logit 0.0123"],
        ["0", "complete", "", "6/6", "published weights"],
    ]


def test_a_wide_terminal_has_a_column_a_parameter_and_a_narrow_one_a_line_a_trial() -> None:
    rows = (trial(1, **WEIGHTS, **{f"{PARAM}distill.logit": 0.01234}), trial(0, fixed="published weights"))
    assert cells(*rows, width=100)[:2] == [
        ["trial", "state", "objective", "epochs", "teacher_weights", "logit", ""],
        ["1", "complete", "0.5000", "6/6", "1.50/0.25", "0.0123", ""],
    ]
    assert cells(*rows, width=70)[1:] == [
        ["1", "complete", "0.5000", "6/6", "teacher_weights 1.50/0.25…"],
        ["0", "complete", "0.5000", "6/6", "published weights"],
    ]


def test_a_stopped_trial_is_dim_and_stands_beside_the_best_trial_after_as_many_epochs() -> None:
    rows = (
        trial(3),
        trial(5, state="pruned", last_step=2, parts_trained=1 / 3, objective=0.4),
        trial(6, objective=0.1),
    )
    beside = Beside("val/mAP", best=3, best_then={5: 0.45})
    assert [line[2:5] for line in cells(*rows, beside=beside)] == [
        ["val/mAP", "epochs", "best then"],
        ["0.5000", "6/6", ""],
        ["0.4000", "2/6", "0.4500"],
        ["0.1000", "6/6", ""],
    ]
    table = trial_table("", rows, beside)
    assert [row.style for row in table.rows] == ["bold", "dim", ""]
    assert "over fewer epochs" in str(table.caption)
    assert trial_table("", rows[:1], beside).caption is None


def test_an_error_is_its_last_line() -> None:
    failed = trial(2, state="out_of_memory", objective=None, error_text="Traceback:\n  File\nError: no room\n")
    assert cells(failed)[1] == ["2", "out of memory", "", "6/6", "Error: no room"]


def test_several_objectives_have_a_column_each_and_the_front_a_mark() -> None:
    names = (f"{METRIC}val/mAP", f"{METRIC}parameters")
    rows = (
        trial(4, **dict(zip(names, (0.5, 123456.0), strict=True)), **{PARETO: True}),
        trial(5, **dict(zip(names, (0.25, 12.345), strict=True)), **{PARETO: False}, feasible=False),
        trial(6, **dict.fromkeys(names), **{PARETO: False}, state="error", error_text="out of memory"),
    )
    assert cells(*rows) == [
        ["trial", "state", "val/mAP", "epochs", "parameters", "parameters"],
        ["* 4", "complete", "0.5000", "6/6", "123,456", ""],
        ["5", "complete, infeasible", "0.2500", "6/6", "12.35", ""],
        ["6", "error", "", "6/6", "", "out of memory"],
    ]
    assert "Pareto" in str(trial_table("runs/a", rows).caption)


def test_a_run_without_trials_has_a_table_too() -> None:
    table = trial_table("0 trials of runs/a", (), Beside("val/mAP"))
    assert table.title == "0 trials of runs/a"
    assert [column.header for column in table.columns] == ["trial", "state", "val/mAP", "epochs", "parameters"]


def test_a_figure_that_is_not_over_all_parts_says_so_and_a_further_look_too() -> None:
    rows = (
        trial(3, parts=2, parts_trained=2.0, last_step=12, objective=0.287, look=2, **{f"{PARAM}distill.logit": 0.5}),
        trial(7, parts=2, parts_trained=1.0, objective=0.297, state="pruned"),
        trial(8, parts=2, parts_trained=1.25, last_step=5, objective=None, state="running"),
        trial(9, parts=2, parts_trained=0.0, last_step=0, objective=None, state="running"),
    )
    assert [line[2:4] for line in cells(*rows)] == [
        ["objective", "epochs"],
        ["0.2870", "12/12"],
        ["0.2970", "6/12"],
        ["", "5/8"],
        ["", ""],
    ]
    assert cells(*rows)[1][-1] == "logit 0.5 (look 2 at these values)"
