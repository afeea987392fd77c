"""Results as Parquet: one row a trial, one row an epoch of each fold and seed, one row a retrained model.

    results/trials/trial-00412.parquet    one row; rewritten whole when the trial starts, after each epoch, at its end
    results/epochs/trial-00412.parquet    one row for each epoch, fold and seed that the trial told
    results/{trials,epochs}/part-*.parquet    the same of many trials that are over
    results/retrain/models.parquet        one row for each model of the final stage

Only the driver writes. All columns are flat; parameters are `param.<dotted path>`, metrics keep their names; times
are UTC; `schema_version` is in each file's metadata. The study is the truth: a trial's row is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from search.results.parquet import Row as Row
from search.results.parquet import TrialFiles
from search.results.parquet import read_table as read_table
from search.results.parquet import write_table as write_table
from search.space.parameters import ColumnType, flatten
from search.trials.job import Message
from search.trials.view import TrialView

TRIALS_OF_A_PART = 64
"""a part is written when so many trials are over"""

EpochKey = tuple[str, int, int]
"""fold, seed and epoch: a row of an epochs table is one of these, for one trial"""

TIME = pa.timestamp("us", tz="UTC")
PARAM = "param."
METRIC = "metric."
"""before what a trial is judged by: objectives, and what constraints name"""
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
    "feasible": pa.bool_(),
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
"""`objective` is the value of the first objective. All that a trial is judged by has a column `metric.<name>` besides;
`feasible` is false where a constraint is broken. `duration_s` sums the epochs, so that waiting between attempts does
not count"""

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

    def __init__(self, results: Path, params: Mapping[str, ColumnType], judged: Sequence[str] = ()) -> None:
        self.results = results
        self._params = dict(params)
        self._judged = tuple(judged)
        self._epochs: dict[int, dict[EpochKey, Row]] = {}
        self._over: list[int] = []
        self._trial_files = TrialFiles(results / "trials")
        self._epoch_files = TrialFiles(results / "epochs")
        self._trial_schema = pa.schema(
            [
                *TRIAL_FIELDS.items(),
                *((f"{METRIC}{name}", pa.float64()) for name in judged),
                *((f"{PARAM}{name}", PARAM_TYPES[kind]) for name, kind in params.items()),
            ]
        )

    def open(self, number: int) -> list[Row]:
        """Takes a trial that starts under the pen -> rows of the epochs that it has already, by step."""
        rows = self._epoch_files.rows(number)
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
        self._epoch_files.write(number, pa.schema([*EPOCH_FIELDS.items(), *metrics.items()]), ordered)
        return True

    def write_trial(self, view: TrialView) -> None:
        """Writes a trial's row as the study has it."""
        row = {
            "trial": view.number,
            "duration_s": self._duration(view.number),
            **{name: getattr(view, name) for name in TRIAL_FIELDS if name not in ("trial", "duration_s")},
            **{f"{METRIC}{name}": view.objectives.get(name) for name in self._judged},
            **{f"{PARAM}{name}": value for name, value in flatten(self._params, view.values).items()},
        }
        self._trial_files.write(view.number, self._trial_schema, [row])

    def close(self, number: int) -> None:
        """Forgets a trial that is over; its files are moved into a part when there are enough of them."""
        self._epochs.pop(number, None)
        self._over.append(number)
        if len(self._over) >= TRIALS_OF_A_PART:
            self._move()

    def mend(self) -> dict[int, str]:
        """Puts the files right after a kill -> the state on disk of every trial that has a row."""
        self._epoch_files.mend()
        self._trial_files.mend()
        table = read_trials(self.results)
        return dict(zip(table["trial"].to_pylist(), table["state"].to_pylist(), strict=True))

    def finish(self) -> None:
        """At the end of a driver: few, large files."""
        self._move()
        for files in (self._trial_files, self._epoch_files):
            files.merge()

    def _move(self) -> None:
        for files in (self._epoch_files, self._trial_files):
            files.move(self._over)
        self._over.clear()

    def _duration(self, number: int) -> float:
        if number in self._epochs:
            return float(sum(row.get("duration_s") or 0.0 for row in self._epochs[number].values()))
        return float(sum(row.get("duration_s") or 0.0 for row in self._epoch_files.rows(number)))


def read_trials(results: Path) -> pa.Table:
    """One row a trial, in order of their numbers."""
    return _read(results / "trials", pa.schema(TRIAL_FIELDS.items()))


def read_epochs(results: Path) -> pa.Table:
    """One row an epoch of each fold and seed, in order of trial and step."""
    return _read(results / "epochs", pa.schema(EPOCH_FIELDS.items()))


def _read(folder: Path, empty: pa.Schema) -> pa.Table:
    found = TrialFiles(folder).read()
    return empty.empty_table() if found is None else found
