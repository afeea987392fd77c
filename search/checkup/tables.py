"""The tables of trials and epochs beside the study, of which all their rows are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.results.parquet import read_table
from search.results.schema import PARAM, Row
from search.runs.damage import reading
from search.space import ColumnType, flatten
from search.trials.view import TrialView

COMPARED = ("state", "attempt", "objective", "error_type", "error_text", "stopped_by", "started_at", "ended_at")
"""columns that hold what the study has under the same name"""


def trials_at_odds(file: Path, views: Mapping[int, TrialView], types: Mapping[str, ColumnType]) -> dict[int, str]:
    """By trial of a file of results/trials: how its row differs from the study. Raises `DamagedRunError`.

    A trial that was not over may have been written before its last epoch.
    """
    at_odds = {}
    with reading(file):
        for row in read_table(file).to_pylist():
            number = row["trial"]
            if number not in views:
                at_odds[number] = f"trial {number} is none of the study's"
            elif views[number].state != "running" and (column := _differing(row, views[number], types)):
                at_odds[number] = f"{column} of trial {number} is not what the study has"
    return at_odds


def epochs_at_odds(file: Path, views: Mapping[int, TrialView]) -> dict[int, str]:
    """The same of a file of results/epochs: by what the scheduler compared at each step."""
    at_odds = {}
    with reading(file):
        rows = read_table(file).to_pylist()
        for number in dict.fromkeys(row["trial"] for row in rows):
            curve = {row["step"]: row["objective"] for row in rows if row["trial"] == number}
            if number not in views:
                at_odds[number] = f"trial {number} is none of the study's"
            elif any(curve.get(step) != value for step, value in views[number].curve.items()):
                at_odds[number] = f"the objective of trial {number} is not what the study has"
    return at_odds


def _differing(row: Row, view: TrialView, types: Mapping[str, ColumnType]) -> str | None:
    """The first column of a row that is not as in the study."""
    known: dict[str, Any] = {name: getattr(view, name) for name in COMPARED}
    known |= {f"{PARAM}{name}": value for name, value in flatten(types, view.values).items()}
    return next((name for name, value in known.items() if name in row and row[name] != value), None)
