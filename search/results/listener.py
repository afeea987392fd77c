"""The tables as two listeners, because the study stands between them.

`EpochTable` comes before the study: an epoch that the study knows has its row, whenever a kill falls. `TrialTable`
comes after it: a trial's row is made of the study's view, and is written again when it lags behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from owkd.config import SearchConfig
from search.results.schema import EPOCH_FIELDS, Row
from search.results.tables import ResultTables
from search.trials.listener import ActiveTrial, EpochRecord, JobListener
from search.trials.objective import ObjectiveAccumulator
from search.trials.view import Ending, TrialView


class EpochTable(JobListener[ActiveTrial]):
    """One row an epoch, and for a trial that starts again, the epochs that have one."""

    def __init__(self, tables: ResultTables, search: SearchConfig) -> None:
        self._tables = tables
        self._search = search

    def job_started(self, job: ActiveTrial) -> None:
        job.begin(self._records(self._tables.open_trial(job.number)))

    def epoch_recorded(self, job: ActiveTrial, epoch: EpochRecord) -> None:
        self._tables.add_epoch(job.number, epoch, job.attempt)

    def _records(self, rows: Sequence[Row]) -> Iterator[EpochRecord]:
        accumulator = ObjectiveAccumulator(self._search)
        for row in rows:
            metrics = {name: value for name, value in row.items() if name not in EPOCH_FIELDS and value is not None}
            score = accumulator.add((row["fold"], row["seed"]), metrics)
            yield EpochRecord(
                row["fold"],
                row["seed"],
                row["epoch"],
                row["step"],
                row["objective"],
                score.values[self._search.leading_metric],
                metrics,
                row["ended_at"].timestamp(),
            )


class TrialTable(JobListener[ActiveTrial]):
    """One row a trial, as the study has it."""

    def __init__(self, tables: ResultTables) -> None:
        self._tables = tables

    def repair(self, views: Iterable[TrialView]) -> None:
        """Writes the rows that a killed driver left behind the study."""
        on_disk = self._tables.repair()
        for view in views:
            if on_disk.get(view.number) != view.state:
                self._tables.write_trial(view)
            if view.state != "running":
                self._tables.close_trial(view.number)

    def job_started(self, job: ActiveTrial) -> None:
        self._tables.write_trial(job.view)

    def epoch_recorded(self, job: ActiveTrial, epoch: EpochRecord) -> None:
        if epoch.is_new:
            self._tables.write_trial(job.view)

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        self._tables.write_trial(job.view)
        self._tables.close_trial(job.number)

    def close(self) -> None:
        self._tables.finish()
