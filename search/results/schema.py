"""Columns of the tables and their types.

All columns are flat; parameters are `param.<dotted path>`, metrics keep their names; times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from search.space.entry import ColumnType

Row = dict[str, Any]

EpochKey = tuple[str, int, int]
"""fold, seed and epoch: a row of an epochs table is one of these, for one trial"""

PARAM = "param."
PART = "part."
"""before the number of a part, from 1 in the order of training: the first objective there"""
METRIC = "metric."
"""before what a trial is scored by: objectives, and what constraints name"""

TIME = pa.timestamp("us", tz="UTC")
PARAM_TYPES: dict[ColumnType, pa.DataType] = {
    "float": pa.float64(),
    "int": pa.int64(),
    "bool": pa.bool_(),
    "text": pa.string(),
}

TRIAL_FIELDS: dict[str, pa.DataType] = {
    "trial": pa.int64(),
    "state": pa.string(),
    "attempt": pa.int64(),
    "published": pa.bool_(),
    "fixed": pa.string(),
    "objective": pa.float64(),
    "feasible": pa.bool_(),
    "look": pa.int64(),
    "parts": pa.int64(),
    "parts_trained": pa.float64(),
    "best_step": pa.int64(),
    "last_step": pa.int64(),
    "duration_s": pa.float64(),
    "started_at": TIME,
    "ended_at": TIME,
    "host": pa.string(),
    "gpu_share": pa.float64(),
    "stopped_by": pa.string(),
    "error_type": pa.string(),
    "error_text": pa.string(),
}
"""`fixed` names a setting that every search trains, `published weights` or `no distillation`; `published` is true of
the former. `objective` is the value of the first objective, over `parts_trained` of `parts`; `look` counts trials with
the same values. All that a trial is scored by has a column `metric.<name>` besides; `feasible` is false where a
constraint is broken. `duration_s` sums the epochs, so that waiting between attempts does not count"""

EPOCH_FIELDS: dict[str, pa.DataType] = {
    "trial": pa.int64(),
    "attempt": pa.int64(),
    "fold": pa.string(),
    "seed": pa.int64(),
    "epoch": pa.int64(),
    "step": pa.int64(),
    "objective": pa.float64(),
    "ended_at": TIME,
    "host": pa.string(),
    "note": pa.string(),
}
"""then one float column for each metric; `note` says what people must know, such as why a training started anew"""


def trial_schema(params: Mapping[str, ColumnType], judged_metrics: Iterable[str], parts: int = 0) -> pa.Schema:
    """Of a trials table: the fixed columns, then what trials are scored by, on each part too, then their parameters."""
    on_parts = ((f"{PART}{number}", pa.float64()) for number in range(1, parts + 1))
    metrics = ((f"{METRIC}{name}", pa.float64()) for name in judged_metrics)
    values = ((f"{PARAM}{name}", PARAM_TYPES[kind]) for name, kind in params.items())
    return pa.schema([*TRIAL_FIELDS.items(), *metrics, *on_parts, *values])


def epoch_schema(rows: Sequence[Row]) -> pa.Schema:
    """Of an epochs table with these rows: the fixed columns, then their metrics as they come."""
    metrics = dict.fromkeys((name for row in rows for name in row if name not in EPOCH_FIELDS), pa.float64())
    return pa.schema([*EPOCH_FIELDS.items(), *metrics.items()])


def grouped(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    """Rows by their value in a column, values and rows in the order in which they come."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups
