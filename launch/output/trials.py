"""The trials of a run on the console."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv
from rich.table import Table

from launch.output.console import console
from owkd.formatting import format_metric, format_value
from search.luck import noise_in_words
from search.results.listing import PARETO, list_trials, noise_of_run
from search.results.schema import METRIC, PARAM
from search.space import SIMPLEXES
from search.trials.view import look_in_words, over_parts

Row = Mapping[str, Any]
"""one trial, by the columns of `list_trials`"""


class _Column(NamedTuple):
    title: str
    cell: Callable[[Row], str]
    number: bool = True
    """right-justified"""


def print_trials(run: str, form: str) -> None:
    """Lists the trials of a run, best first: `table` for people; `csv` and `json` hold every column."""
    trials = list_trials(run)
    if form == "csv":
        pa_csv.write_csv(trials, pa.PythonFile(sys.stdout.buffer, mode="w"))
    elif form == "json":
        json.dump(trials.to_pylist(), sys.stdout, default=_plain, indent=1)
        sys.stdout.write("\n")
    else:
        rows = trials.to_pylist()
        console.print(trial_table(run, rows))
        console.print(noise_in_words(noise_of_run(rows)), soft_wrap=True)


def trial_table(run: str, rows: Sequence[Row]) -> Table:
    """A row a trial; what people compare, and no more."""
    front = any(PARETO in row for row in rows)
    caption = "* on the Pareto front: no trial is better in one objective and as good in the others" if front else None
    table = Table(title=f"{len(rows)} trials of {run}, best first", caption=caption)
    columns = _columns(rows)
    for column in columns:
        table.add_column(column.title, justify="right" if column.number else "left", no_wrap=True)
    table.add_column("parameters", overflow="fold")
    for row in rows:
        table.add_row(*(column.cell(row) for column in columns), _explanation(row))
    return table


def _columns(rows: Sequence[Row]) -> tuple[_Column, ...]:
    """All but the last; with several objectives, each has a column."""
    metrics = [name for name in (rows[0] if rows else ()) if name.startswith(METRIC)]
    if len(metrics) > 1:
        titles = {name: name.removeprefix(METRIC) for name in metrics}
    else:
        titles = dict.fromkeys(metrics or ["objective"], "objective")
    return (
        _Column("trial", _trial),
        _Column("state", _state, number=False),
        *(_Column(title, partial(_value if at else _figure, name)) for at, (name, title) in enumerate(titles.items())),
        _Column("step", _step),
    )


def _trial(row: Row) -> str:
    return f"* {row['trial']}" if row.get(PARETO) else str(row["trial"])


def _state(row: Row) -> str:
    return str(row["state"]) if row["feasible"] else f"{row['state']}, infeasible"


def _value(name: str, row: Row) -> str:
    return "" if row[name] is None else format_metric(row[name])


def _figure(name: str, row: Row) -> str:
    """The value that ranks trials, which says over which parts it is where that is not all."""
    over = over_parts(row["state"], row["parts_trained"], row["parts"])
    return "" if row[name] is None else _value(name, row) + over


def _step(row: Row) -> str:
    return "" if row["best_step"] is None else f"{row['best_step']}/{row['last_step']}"


def _explanation(row: Row) -> str:
    """What was tried, or why it failed."""
    return str(row["fixed"] or row["error_text"] or _parameters(row)) + look_in_words(row["look"])


def _parameters(row: Row) -> str:
    """Short names; the weights of a simplex as one group, in the order of its fields."""
    values: dict[str, Any] = {}
    for column, value in row.items():
        path = column.removeprefix(PARAM)
        if path == column or value is None:
            continue
        parent, _, field = path.rpartition(".")
        if parent in SIMPLEXES:
            values.setdefault(parent, {})[field] = value
        else:
            values[path] = value
    return ", ".join(f"{path.removeprefix('distill.')} {format_value(value)}" for path, value in values.items())


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no plain form for {type(value).__name__}")
