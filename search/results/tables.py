"""Results as Parquet: one row a trial, one row an epoch of each fold and seed; and the final stage.

    results/trials/trial-00412.parquet    one row; rewritten whole when the trial starts, after each epoch, at its end
    results/epochs/trial-00412.parquet    one row for each epoch, fold and seed that the trial reported
    results/{trials,epochs}/part-*.parquet    the same of many trials that are over
    results/retrain/                      the final stage: `search.retrain.tables`, `search.retrain.queries`

Only the driver writes. The columns are in `search.results.schema`; `schema_version` is in each file's metadata. The
study is the truth: a trial's row is made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from search.results.parquet import TrialFiles
from search.results.schema import (
    EPOCH_FIELDS,
    METRIC,
    PARAM,
    PART,
    TRIAL_FIELDS,
    EpochKey,
    Row,
    epoch_schema,
    trial_schema,
)
from search.runs.layout import RunFolder
from search.space import ColumnType, flatten
from search.trials.listener import EpochRecord
from search.trials.view import PUBLISHED, TrialView

TRIALS_OF_A_PART = 64
"""a part is written when so many trials are over"""
SHOWN = 8
"""trials that a sentence names"""


class ResultTables:
    """The tables of one run."""

    def __init__(
        self, results: Path, params: Mapping[str, ColumnType], judged_metrics: Sequence[str] = (), parts: int = 0
    ) -> None:
        self.results = results
        self._params = dict(params)
        self._judged_metrics = tuple(judged_metrics)
        self._epochs: dict[int, dict[EpochKey, Row]] = {}
        self._over: list[int] = []
        self._trial_files = TrialFiles(results / "trials")
        self._epoch_files = TrialFiles(results / "epochs")
        self._trial_schema = trial_schema(params, judged_metrics, parts)

    def open_trial(self, number: int) -> list[Row]:
        """Begins with a trial that starts -> rows of the epochs that it has already, by step."""
        rows = self._epoch_files.rows(number)
        self._epochs[number] = {(row["fold"], row["seed"], row["epoch"]): row for row in rows}
        return rows

    def add_epoch(self, number: int, epoch: EpochRecord, attempt: int) -> bool:
        """Adds one epoch -> whether it is new: to one that is reported again, only a note is added."""
        rows = self._epochs[number]
        key = (epoch.fold, epoch.seed, epoch.epoch)
        is_new = key not in rows
        if not is_new and not epoch.note:
            return False
        rows[key] = self._row(number, epoch, attempt) if is_new else {**rows[key], "note": epoch.note}
        ordered = sorted(rows.values(), key=lambda row: int(row["step"]))
        self._epoch_files.write(number, epoch_schema(ordered), ordered)
        return is_new

    @staticmethod
    def _row(number: int, epoch: EpochRecord, attempt: int) -> Row:
        return {
            "trial": number,
            "attempt": attempt,
            "fold": epoch.fold,
            "seed": epoch.seed,
            "epoch": epoch.epoch,
            "step": epoch.step,
            "objective": epoch.objective,
            "ended_at": datetime.fromtimestamp(epoch.sent_at, UTC),
            "host": epoch.host,
            "note": epoch.note or None,
            **dict(epoch.metrics),
        }

    def write_epochs(self, number: int, rows: Sequence[Row]) -> None:
        """Writes the epochs of a trial that is over in place of those that are there."""
        self._epoch_files.write(number, epoch_schema(rows), rows)

    def write_trial(self, view: TrialView) -> None:
        """Writes a trial's row as the study has it."""
        row = {
            "trial": view.number,
            "duration_s": self._duration(view.number),
            **{name: getattr(view, name) for name in TRIAL_FIELDS if name not in ("trial", "duration_s")},
            **{f"{METRIC}{name}": view.objectives.get(name) for name in self._judged_metrics},
            **{f"{PART}{number}": value for number, value in enumerate(view.part_values, start=1)},
            **{f"{PARAM}{name}": value for name, value in flatten(self._params, view.values).items()},
        }
        self._trial_files.write(view.number, self._trial_schema, [row])

    def close_trial(self, number: int) -> None:
        """Ends with a trial that is over; its files are moved into a part when there are enough of them."""
        self._epochs.pop(number, None)
        self._over.append(number)
        if len(self._over) >= TRIALS_OF_A_PART:
            self._move()

    def repair(self) -> dict[int, str]:
        """Repairs the files after a kill -> the state on disk of every trial that has a row."""
        self._epoch_files.repair()
        self._trial_files.repair()
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
    """One row a trial, in order of their numbers. Of runs of 0.1.0, `fixed` is what `published` says."""
    table = _read(results / "trials", pa.schema(TRIAL_FIELDS.items()))
    published = pc.if_else(table["published"], PUBLISHED, pa.scalar(None, pa.string()))
    if "fixed" not in table.column_names:
        return table.append_column("fixed", published)
    return table.set_column(table.schema.get_field_index("fixed"), "fixed", pc.coalesce(table["fixed"], published))


def read_epochs(results: Path) -> pa.Table:
    """One row an epoch of each fold and seed, in order of trial and step."""
    return _read(results / "epochs", pa.schema(EPOCH_FIELDS.items()))


def without_epochs(last_steps: Mapping[int, int | None], epochs: Collection[int]) -> str:
    """What is missing, in a sentence: trials that trained, by their last step, of which no epoch has a row. Else
    nothing."""
    lacking = [str(number) for number, step in last_steps.items() if step and number not in epochs]
    if not lacking:
        return ""
    shown = ", ".join(sorted(lacking, key=int)[:SHOWN]) + (", ..." if len(lacking) > SHOWN else "")
    return (
        f"results/epochs must have rows of every trial that trained, but has none of {shown}; owkd doctor RUN says "
        "what can be repaired"
    )


def recorded_trials(folder: RunFolder) -> set[int]:
    """Numbers of the trials of which a run has results: rows, event files or checkpoints.

    Raises `DamagedRunError` where a table cannot be read.
    """
    tables = (read_trials(folder.results), read_epochs(folder.results))
    numbers = {number for table in tables for number in table["trial"].to_pylist()}
    folders = [*folder.tensorboard.glob("trial-*"), *folder.folders(folder.checkpoints)]
    names = (path.name.removeprefix("trial-") for path in folders)
    return numbers | {int(name) for name in names if name.isdecimal()}


def _read(folder: Path, empty: pa.Schema) -> pa.Table:
    table = TrialFiles(folder).read()
    return empty.empty_table() if table is None else table
