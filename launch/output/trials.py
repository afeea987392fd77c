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
from search.results.listing import PARETO, list_trials
from search.results.schema import METRIC, PARAM
from search.space import SIMPLEXES

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
        console.print(trial_table(run, trials.to_pylist()))


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
        *(_Column(title, partial(_value, name)) for name, title in titles.items()),
        _Column("step", _step),
    )


def _trial(row: Row) -> str:
    return f"* {row['trial']}" if row.get(PARETO) else str(row["trial"])


def _state(row: Row) -> str:
    return str(row["state"]) if row["feasible"] else f"{row['state']}, infeasible"


def _value(name: str, row: Row) -> str:
    """A share of 1 with four decimals, a count in full, anything else with four digits."""
    value = row[name]
    if value is None:
        return ""
    if value >= 1000 and value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4f}" if value < 1 else f"{value:.4g}"


def _step(row: Row) -> str:
    return "" if row["best_step"] is None else f"{row['best_step']}/{row['last_step']}"


def _explanation(row: Row) -> str:
    """What was tried, or why it failed."""
    return "published setting" if row["published"] else row["error_text"] or _parameters(row)


def _parameters(row: Row) -> str:
    """Short names; the weights of a simplex as one group, in the order of its fields."""
    groups: dict[str, list[str]] = {}
    for column, value in row.items():
        path = column.removeprefix(PARAM)
        if path == column or value is None:
            continue
        parent = path.rpartition(".")[0]
        name = (parent if parent in SIMPLEXES else path).removeprefix("distill.")
        groups.setdefault(name, []).append(_short(value, ".2f" if parent in SIMPLEXES else ".3g"))
    return ", ".join(f"{name} {'/'.join(values)}" for name, values in groups.items())


def _short(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, float) else str(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no plain form for {type(value).__name__}")
