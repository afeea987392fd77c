"""Some of the trials of a run: by state, in another order, the first few, some of their columns."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from owkd.config.metrics import METRICS
from owkd.errors import UserError
from search.results.schema import METRIC, PARAM, Row


def select_trials(
    trials: pa.Table,
    *,
    states: Collection[str] = (),
    sort: str | None = None,
    top: int | None = None,
    columns: Sequence[str] = (),
) -> pa.Table:
    """Of a table of `list_trials`: trials in these states, ordered by a column, the first `top`, of these columns.

    Columns may be named by their last part, such as `logit` or `mAP`, where that is one column. `sort` goes from low to
    high, a metric from its best; with a minus before the name the other way round. What has no value comes last, and a
    metric ranks no trial that was stopped among those that are complete. Raises `UserError` for an unknown name.
    """
    shown = [column_named(name, trials.column_names) for name in columns] or trials.column_names
    rows = [row for row in trials.to_pylist() if not states or row["state"] in states]
    if sort is not None:
        rows = _sorted(rows, column_named(sort.removeprefix("-"), trials.column_names), sort.startswith("-"))
    chosen = pa.Table.from_pylist(rows[:top], schema=trials.schema)
    return chosen.select(list(dict.fromkeys(shown)))


def column_named(name: str, columns: Sequence[str]) -> str:
    """The column of that name, or the one whose name ends so. Raises `UserError`."""
    if name in columns:
        return name
    ends = [column for column in columns if column.endswith((f".{name}", f"/{name}"))]
    parameters = [column for column in ends if column.startswith(PARAM)]
    found = ends if len(ends) == 1 else parameters
    if len(found) == 1:
        return found[0]
    if len(ends) > 1:
        raise UserError(f"a column must be named without doubt, but {name} may be {', '.join(ends)}; give one of them")
    nearest = difflib.get_close_matches(name, columns, n=3, cutoff=0.4) or columns
    raise UserError(f"a column must be one of the trials', but got {name}; the nearest are {', '.join(nearest[:3])}")


def _sorted(rows: Sequence[Row], column: str, reverse: bool) -> list[Row]:
    metric = METRICS.get(column.removeprefix(METRIC))
    ranks = column == "objective" or metric is not None
    down = reverse != (ranks and (metric is None or metric.direction == "max"))
    known = [row for row in rows if row[column] is not None]
    known.sort(key=lambda row: _comparable(row[column]), reverse=down)
    if ranks:
        known.sort(key=lambda row: row["state"] != "complete")
    return known + [row for row in rows if row[column] is None]


def _comparable(value: Any) -> Any:
    return value if not isinstance(value, bool) else int(value)
