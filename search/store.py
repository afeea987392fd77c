"""Results as Parquet: one row a trial, one row an epoch of each fold and seed, one row a retrained model.

    results/trials/trial-00007.parquet    one row; rewritten whole when the trial starts, after each epoch, at its end
    results/epochs/trial-00007.parquet    one row for each epoch, fold and seed that the trial told
    results/retrain/models.parquet        one row for each model of the final stage

Only the driver writes. All columns are flat; parameters are `param.<dotted path>`, metrics keep their names; times
are UTC; `schema_version` is in each file's metadata. The study is the truth: a trial's row is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from owkd.files import written_whole
from search.folder import SCHEMA_VERSION, trial_name
from search.space import ColumnType, flatten
from search.study import TrialView
from search.trainable import Message

Row = dict[str, Any]
EpochKey = tuple[str, int, int]
"""fold, seed and epoch: a row of an epochs table is one of these, for one trial"""

TIME = pa.timestamp("us", tz="UTC")
PARAM = "param."
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
    "objective": pa.float64(),
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
"""`objective` is the best epoch's; `duration_s` sums the epochs, so that waiting between attempts does not count"""

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
}
"""then one float column for each metric"""


class Store:
    """The tables of one run."""

    def __init__(self, results: Path, params: Mapping[str, ColumnType]) -> None:
        self.results = results
        self._params = dict(params)
        self._epochs: dict[int, dict[EpochKey, Row]] = {}
        self._trial_schema = pa.schema(
            [*TRIAL_FIELDS.items(), *((f"{PARAM}{name}", PARAM_TYPES[kind]) for name, kind in params.items())]
        )

    def open(self, number: int) -> list[Row]:
        """Takes a trial that starts under the pen -> rows of the epochs that it has already, by step."""
        path = self._path("epochs", number)
        rows = read_table(path).to_pylist() if path.is_file() else []
        self._epochs[number] = {(row["fold"], row["seed"], row["epoch"]): row for row in rows}
        return rows

    def add_epoch(self, number: int, message: Message, attempt: int) -> bool:
        """Adds one epoch -> whether it is news: one that is told again changes nothing."""
        rows = self._epochs[number]
        key = (message.fold, message.seed, message.epoch)
        if key in rows:
            return False
        rows[key] = {
            "trial": number,
            "attempt": attempt,
            "fold": message.fold,
            "seed": message.seed,
            "epoch": message.epoch,
            "step": message.step,
            "objective": message.objective,
            "ended_at": datetime.fromtimestamp(message.sent_at, UTC),
            "host": message.host,
            **dict(message.metrics),
        }
        ordered = sorted(rows.values(), key=lambda row: int(row["step"]))
        metrics = dict.fromkeys((name for row in ordered for name in row if name not in EPOCH_FIELDS), pa.float64())
        write_table(self._path("epochs", number), pa.schema([*EPOCH_FIELDS.items(), *metrics.items()]), ordered)
        return True

    def write_trial(self, view: TrialView) -> None:
        """Writes a trial's row as the study has it."""
        row = {
            "trial": view.number,
            "duration_s": self._duration(view.number),
            **{name: getattr(view, name) for name in TRIAL_FIELDS if name not in ("trial", "duration_s")},
            **{f"{PARAM}{name}": value for name, value in flatten(self._params, view.values).items()},
        }
        write_table(self._path("trials", view.number), self._trial_schema, [row])

    def close(self, number: int) -> None:
        """Forgets a trial that is over; its files stay."""
        self._epochs.pop(number, None)

    def state_on_disk(self, number: int) -> str | None:
        """The state that a trial's file names; None without a file."""
        path = self._path("trials", number)
        return str(read_table(path)["state"][0].as_py()) if path.is_file() else None

    def _duration(self, number: int) -> float:
        if number in self._epochs:
            return float(sum(row.get("duration_s") or 0.0 for row in self._epochs[number].values()))
        path = self._path("epochs", number)
        rows = read_table(path).to_pylist() if path.is_file() else []
        return float(sum(row.get("duration_s") or 0.0 for row in rows))

    def _path(self, table: str, number: int) -> Path:
        return self.results / table / f"{trial_name(number)}.parquet"


def write_table(path: Path, schema: pa.Schema, rows: Sequence[Row]) -> None:
    """Writes a whole Parquet file in place of the one that is there."""
    table = pa.Table.from_pylist(list(rows), schema=schema.with_metadata({"schema_version": str(SCHEMA_VERSION)}))
    with written_whole(path) as temporary:
        pq.write_table(table, temporary)


def read_table(path: Path) -> pa.Table:
    """Reads a file that may be replaced at any moment.

    `pq.read_table` opens a file twice, once for its footer and once for its pages, which may then be of two files.
    """
    with pq.ParquetFile(path) as file:
        return file.read()


def read_trials(results: Path) -> pa.Table:
    """One row a trial, in order of their numbers."""
    return _read(results / "trials", pa.schema(TRIAL_FIELDS.items()))


def read_epochs(results: Path) -> pa.Table:
    """One row an epoch of each fold and seed, in order of trial and step."""
    return _read(results / "epochs", pa.schema(EPOCH_FIELDS.items()))


def _read(folder: Path, empty: pa.Schema) -> pa.Table:
    tables = list(_tables(folder))
    return pa.concat_tables(tables, promote_options="default") if tables else empty.empty_table()


def _tables(folder: Path) -> Iterator[pa.Table]:
    for path in sorted(folder.glob("*.parquet")):
        yield read_table(path)
