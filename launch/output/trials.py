"""The trials of a run on the console."""

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from rich.cells import cell_len
from rich.table import Table

from launch.output.console import console, print_prose
from owkd.formatting import format_metric, format_value
from search.luck import noise_in_words
from search.results.equal_epochs import best_after_as_many, best_complete, whole_epochs
from search.results.listing import PARETO, list_trials, noise_of_run
from search.results.schema import METRIC, PARAM
from search.results.selection import select_trials
from search.results.tables import read_epochs
from search.runs.damage import DamagedRunError
from search.runs.manifest import open_run
from search.space import SIMPLEXES
from search.trials.view import look_in_words

Row = dict[str, Any]
"""one trial, by the columns of `list_trials`"""

CUT_SHORT = "dim: over fewer epochs"
BEST_THEN = f"{CUT_SHORT}; best then: the best trial after as many"
LEAST_PROSE = 20
"""characters of a column that is cut where it does not fit"""
FRONT = "* on the Pareto front: no trial is better in one objective and as good in the others"


class _Column(NamedTuple):
    title: str
    cell: Callable[[Row], str]
    number: bool = True
    """right-justified"""
    prose: bool = False
    """may be cut, or folded, where it does not fit"""


class Beside(NamedTuple):
    """What a table of trials shows beside its rows.

    Attributes:
        metric: name of the first objective
        best: number of the best complete trial
        best_then: what that one was worth after as many epochs, by the number of a trial that is not complete
    """

    metric: str = "objective"
    best: int | None = None
    best_then: Mapping[int, float] = {}


def print_trials(
    run: str,
    form: str,
    *,
    states: Collection[str] = (),
    sort: str | None = None,
    top: int | None = None,
    columns: Sequence[str] = (),
) -> None:
    """Lists the trials of a run, best first: `table` for people; `csv` and `json` hold every column.

    The other arguments are those of `select_trials`.
    """
    trials = list_trials(run)
    chosen = select_trials(trials, states=states, sort=sort, top=top, columns=columns)
    if form == "csv":
        pa_csv.write_csv(chosen, pa.PythonFile(sys.stdout.buffer, mode="w"))
    elif form == "json":
        print_json(chosen.to_pylist())
    else:
        every, rows = trials.to_pylist(), chosen.to_pylist()
        count = f"{len(every)} trials" if len(rows) == len(every) else f"{len(rows)} of {len(every)} trials"
        title = f"{count} of {run}, {f'by {sort}' if sort else 'best first'}"
        if columns:
            console.print(_plain_table(title, rows, chosen.column_names))
        else:
            console.print(trial_table(title, rows, _beside(run, every), console.width if console.is_terminal else None))
            print_prose(noise_in_words(noise_of_run(every)))


def print_json(value: object) -> None:
    """A value for scripts, on standard output."""
    json.dump(value, sys.stdout, default=_plain, indent=1)
    sys.stdout.write("\n")


def trial_table(title: str, rows: Sequence[Row], beside: Beside | None = None, width: int | None = None) -> Table:
    """A row a trial; what people compare, and no more.

    width: of a terminal, on which a row is one line, with a column a parameter where they fit; elsewhere lines may be
    as many as it takes, and nothing is left out
    """
    beside = beside or Beside()
    columns = _columns(rows, beside)
    wide = (*columns, *_parameter_columns(rows))
    if width is None or _width(wide, rows) > width:
        wide = (*columns, _Column("parameters", _explanation, number=False, prose=True))
    return _table(title, rows, wide, beside, width)


def _width(columns: Sequence[_Column], rows: Sequence[Row]) -> int:
    """Of a table in which only prose is cut."""
    return 1 + sum(3 + (LEAST_PROSE if column.prose else _longest(column, rows)) for column in columns)


def _longest(column: _Column, rows: Sequence[Row]) -> int:
    return max(map(cell_len, (column.title, *(column.cell(row) for row in rows))))


def _beside(run: str, trials: Sequence[Row]) -> Beside:
    """Without the best trial's epochs where they are damaged: the list can do without."""
    folder, config, _ = open_run(run, only=("results",))
    best = best_complete(trials)
    then: dict[int, float] = {}
    if best is not None:
        with suppress(DamagedRunError):
            epochs = read_epochs(folder.results)
            own = epochs.filter(pc.equal(epochs["trial"], best["trial"])).to_pylist()
            then = best_after_as_many(config.search, trials, own)
    return Beside(config.search.leading_metric, best["trial"] if best else None, then)


def _table(title: str, rows: Sequence[Row], columns: Sequence[_Column], beside: Beside, width: int | None) -> Table:
    captions = []
    if any(row["state"] != "complete" for row in rows):
        captions.append(BEST_THEN if any(row["trial"] in beside.best_then for row in rows) else CUT_SHORT)
    if any(PARETO in row for row in rows):
        captions.append(FRONT)
    table = Table(title=title, caption="\n".join(captions) or None, title_justify="left", caption_justify="left")
    room = None if width is None else LEAST_PROSE + max(0, width - _width(columns, rows))
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            overflow="fold" if column.prose and room is None else "ellipsis",
            no_wrap=not column.prose or room is not None,
            width=None if not column.prose or room is None else min(room, _longest(column, rows)),
        )
    for row in rows:
        style = "bold" if row["trial"] == beside.best else "" if row["state"] == "complete" else "dim"
        table.add_row(*(column.cell(row) for column in columns), style=style)
    return table


def _plain_table(title: str, rows: Sequence[Row], names: Sequence[str]) -> Table:
    """Columns as they were asked for."""
    table = Table(title=title, title_justify="left")
    for name in names:
        numbers = all(row[name] is None or isinstance(row[name], int | float) for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *(_cell(name, row[name]) for name in names),
            style="" if row.get("state", "complete") == "complete" else "dim",
        )
    return table


def _columns(rows: Sequence[Row], beside: Beside) -> tuple[_Column, ...]:
    """All but the parameters; with several objectives, each has a column."""
    metrics = [name for name in (rows[0] if rows else ()) if name.startswith(METRIC)]
    titles = {name: name.removeprefix(METRIC) for name in metrics} if len(metrics) > 1 else {"objective": beside.metric}
    if not any(row["trial"] in beside.best_then for row in rows):
        then: tuple[_Column, ...] = ()
    else:
        then = (_Column("best then", partial(_best_then, beside)),)
    first, *others = (_Column(title, partial(_value, name)) for name, title in titles.items())
    return (
        _Column("trial", _trial),
        _Column("state", _state, number=False),
        first,
        _Column("epochs", _epochs),
        *then,
        *others,
    )


def _parameter_columns(rows: Sequence[Row]) -> tuple[_Column, ...]:
    """One for each that any trial has, and one of notes where there are any."""
    names = dict.fromkeys(name for row in rows for name in parameters_of(row))
    notes = (_Column("", _note, number=False, prose=True),) if any(_note(row) for row in rows) else ()
    return (*(_Column(short_name(name), partial(_parameter, name)) for name in names), *notes)


def _trial(row: Row) -> str:
    return f"* {row['trial']}" if row.get(PARETO) else str(row["trial"])


def _state(row: Row) -> str:
    state = row["state"].replace("_", " ")
    return state if row["feasible"] else f"{state}, infeasible"


def _value(name: str, row: Row) -> str:
    return "" if row[name] is None else format_metric(row[name])


def _epochs(row: Row) -> str:
    whole = whole_epochs(row)
    return "" if whole is None else f"{row['last_step']}/{whole}"


def _best_then(beside: Beside, row: Row) -> str:
    return format_metric(beside.best_then[row["trial"]]) if row["trial"] in beside.best_then else ""


def _explanation(row: Row) -> str:
    """What was tried, or why it failed."""
    values = ", ".join(f"{short_name(name)} {format_value(value)}" for name, value in parameters_of(row).items())
    look = look_in_words(row["look"])
    return str(row["fixed"] or last_line(row["error_text"]) or values) + look


def _note(row: Row) -> str:
    """What no column of a parameter says."""
    return str(row["fixed"] or last_line(row["error_text"])) + look_in_words(row["look"])


def last_line(text: str | None) -> str:
    """Of an error text: the line that names the error."""
    return (text or "").strip().rpartition("\n")[2].strip()


def _parameter(name: str, row: Row) -> str:
    value = parameters_of(row).get(name)
    return "" if value is None else format_value(value)


def short_name(path: str) -> str:
    """A field of the configuration for people: what is distilled is searched most."""
    return path.removeprefix("distill.")


def parameters_of(row: Row) -> dict[str, Any]:
    """By dotted path; the weights of a simplex as one group, in the order of its fields."""
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
    return values


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        metric = name.startswith(METRIC) or name == "objective" or "/" in name
        return format_metric(value) if metric else format_value(value)
    return str(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no plain form for {type(value).__name__}")
