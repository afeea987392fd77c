"""One trial of a run once more, apart from the run: with its parameters, folds, seeds and CPU threads.

On the same machine and device the numbers are the trial's bit for bit. What is compared is the run's table of epochs,
but for what a clock or a memory gauge measures; a trial that was stopped early is rerun as far as it went.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from owkd.config import METRICS, Config, with_values
from owkd.errors import DivergedError, UserError
from search.execution.worker import Train, train_student
from search.results.schema import EPOCH_FIELDS, PARAM, EpochKey, Row
from search.results.tables import read_epochs, read_trials
from search.runs.inputs import check_inputs, differences
from search.runs.integrity import compare, versions
from search.runs.manifest import open_run
from search.space.parameters import columns, from_columns, no_distillation_point, published_point, single
from search.storage.address import Address
from search.trials.job import Part

if TYPE_CHECKING:
    from owkd.training.loop import Epoch, Report

NOT_COMPARED = (
    *("duration_s", "images_per_second", "gpu_memory_peak_bytes"),
    *(metric.name for metric in METRICS.values() if not metric.repeatable),
)
"""numbers of an epoch that differ from run to run"""


@dataclass(frozen=True)
class Difference:
    """The first number that is another one.

    Attributes:
        rerun: None where the rerun has no such number
    """

    fold: str
    seed: int
    epoch: int
    metric: str
    recorded: float
    rerun: float | None

    def __str__(self) -> str:
        where = f"{self.fold}, seed {self.seed}, epoch {self.epoch}"
        return f"{where}: {self.metric} was {self.recorded!r} and is {self.rerun!r}"


@dataclass(frozen=True)
class Rerun:
    """The result of a rerun.

    Attributes:
        epochs: that were compared
        replayed: of these, read from checkpoints of an earlier rerun in the same folder
        values: numbers that were compared
        other_versions: packages that are not those of the run
    """

    epochs: int
    replayed: int
    values: int
    difference: Difference | None
    other_versions: tuple[str, ...]


class _EnoughError(Exception):
    """The trial went no further."""


def rerun(run: Address | Path | str, number: int, out: Path, *, report: Report, train: Train = train_student) -> Rerun:
    """Trains trial `number` of a run once more, below `out`; resumes where an earlier rerun there was stopped.

    Raises `UserError` when there is no such trial, when it has no epoch, or when data or teacher changed since.
    """
    folder, config, manifest = open_run(run)
    rows = _rows_of(read_epochs(folder.results), number)
    values = _values(config, _trial(folder.results, number, run))
    if not rows:
        raise UserError(f"a trial must have an epoch to be rerun, but trial {number} of {run} has none; take another")
    changed = differences(manifest.get("fingerprints", {}), check_inputs(config))
    if changed:
        raise UserError(
            f"a rerun must see the data and teachers of its run, but these changed: {', '.join(changed)}; restore them"
        )
    config = single(config, values)
    if not any(row.get("gpu_memory_peak_bytes") for row in rows):
        config = with_values(config, {"train.device": "cpu"})  # where its trial ran, whatever this machine has
    epochs: dict[EpochKey, Epoch] = {}
    for part, recorded in groupby(rows, lambda row: Part(row["fold"], row["seed"])):
        last = max(row["epoch"] for row in recorded)
        try:
            record = partial(_record, epochs, report, last)
            train(config, record, fold=part.fold, directory=part.folder(out), seed=part.seed)
        except (_EnoughError, DivergedError):  # an epoch that diverged is in no table
            continue
    before = manifest.get("versions", {})
    return Rerun(
        epochs=len(rows),
        replayed=sum(epoch.replayed for epoch in epochs.values()),
        values=sum(1 for row in rows for _ in _compared(row)),
        difference=_first_difference(rows, epochs),
        other_versions=tuple(map(str, compare(before, {**before, **versions()}))),
    )


def _record(epochs: dict[EpochKey, Epoch], report: Report, last: int, epoch: Epoch) -> None:
    epochs[epoch.fold, epoch.seed, epoch.epoch] = epoch
    report(epoch)
    if epoch.epoch == last:
        raise _EnoughError


def _first_difference(rows: Sequence[Row], epochs: Mapping[EpochKey, Epoch]) -> Difference | None:
    for row in rows:
        key = row["fold"], row["seed"], row["epoch"]
        metrics = epochs[key].metrics if key in epochs else {}
        for name, recorded in _compared(row):
            rerun = metrics.get(name)
            if rerun is None or not (rerun == recorded or (math.isnan(rerun) and math.isnan(recorded))):
                return Difference(*key, name, recorded, rerun)
    return None


def _compared(row: Row) -> Iterator[tuple[str, float]]:
    skipped = {*EPOCH_FIELDS, *NOT_COMPARED}
    return ((name, value) for name, value in row.items() if name not in skipped and value is not None)


def _rows_of(table: Any, number: int) -> list[Row]:
    rows: list[Row] = table.filter(pc.field("trial") == number).sort_by("step").to_pylist()
    return rows


def _trial(results: Path, number: int, run: Address | Path | str) -> Row:
    table = read_trials(results)
    rows: list[Row] = table.filter(pc.field("trial") == number).to_pylist()
    if not rows:
        raise UserError(
            f"a trial must be one of the {len(table)} of {run}, but got {number}; look them up: owkd trials {run}"
        )
    return rows[0]


def _values(config: Config, row: Row) -> dict[str, Any]:
    """The values by path in a trial's row of the tables, floats bit for bit; others are as configured."""
    match row["fixed"]:
        case "published weights":
            return published_point(config).values
        case "no distillation":
            return no_distillation_point(config).values
    return from_columns(config, {column: row[f"{PARAM}{column}"] for column in columns(config)})
