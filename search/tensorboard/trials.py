"""TensorBoard: one event file a trial, live from its first epoch, with its hyperparameters from its start.

Scalars carry the names of the metrics; with several folds or seeds these come first (`Fold1/val/mAP`,
`Fold1/seed-1/val/mAP`), and the step is the epoch of that part. `objective` and `objective_best` run over all parts,
the latter as what the trial is worth if it ends there.

HParams shows last values, which for a stopped trial are over fewer epochs. So its first columns say what may be
compared: `objective_complete`, which complete trials alone have; `epochs`, how far each came; and `objective_grace`,
what each was worth after the epochs that the scheduler grants to all.

A trial that is resumed gets a fresh file with all of its epochs, read from the results: no epoch is in it twice, and a
record that was cut off is gone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import (
    DATA_TYPE_BOOL,
    DATA_TYPE_FLOAT64,
    DATA_TYPE_STRING,
    STATUS_FAILURE,
    STATUS_SUCCESS,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from owkd.config import EPOCH_METRICS, Config
from search.runs.layout import trial_name
from search.space import ColumnType, columns, entries, flatten, published_point
from search.tensorboard.event_file import EventFile
from search.trials.job import Part, parts_of
from search.trials.listener import ActiveTrial, EpochRecord, JobListener
from search.trials.states import State
from search.trials.view import Ending

OBJECTIVE = "objective"
BEST = "objective_best"
COMPLETE = "objective_complete"
EPOCHS = "epochs"
GRACE = "objective_grace"

DATA_TYPES: dict[ColumnType, Any] = {
    "float": DATA_TYPE_FLOAT64,
    "int": DATA_TYPE_FLOAT64,
    "bool": DATA_TYPE_BOOL,
    "text": DATA_TYPE_STRING,
}


class TrialEventFiles(JobListener[ActiveTrial]):
    """Event files of the trials that run."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self._parts = parts_of(config)
        self._types = columns(config)
        self._metric = config.search.leading_metric
        self._grace = getattr(config.search.scheduler, "grace_epochs", None)
        self._experiment = _experiment(config, self._tags())
        self._writers: dict[int, EventFile] = {}

    def job_started(self, job: ActiveTrial) -> None:
        self.start(job.number, job.proposal.values, job.recorded)

    def epoch_recorded(self, job: ActiveTrial, epoch: EpochRecord) -> None:
        if epoch.is_new:
            self.add_epoch(job.number, epoch)

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        self.end(job.number, ending.state, job.view.objective, job.view.last_step)

    def start(self, number: int, values: Mapping[str, Any], past: Iterable[EpochRecord] = ()) -> None:
        """Starts a trial's file anew: its hyperparameters, and the epochs that it has already."""
        self._drop(number)
        writer = self._writers[number] = EventFile(self._path(number))
        start = SessionStartInfo(start_time_secs=time.time(), group_name=trial_name(number))
        for name, value in flatten(self._types, values).items():
            if isinstance(value, bool):
                start.hparams[name].bool_value = value
            elif isinstance(value, int | float):
                start.hparams[name].number_value = value
            elif value is not None:
                start.hparams[name].string_value = value
        writer.add_plugin_data(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=self._experiment))
        writer.add_plugin_data(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))
        for record in past:
            self._write(writer, record)
        writer.flush()

    def add_epoch(self, number: int, epoch: EpochRecord) -> None:
        """Writes one epoch; a reader sees it at once."""
        self._write(self._writers[number], epoch)
        self._writers[number].flush()

    def end(self, number: int, state: State, objective: float | None = None, step: int = 0) -> None:
        """Ends a trial's file; of a complete one, with what it is worth."""
        if state == "complete" and objective is not None:
            self._writers[number].add_scalars({COMPLETE: objective}, step, time.time())
        status = STATUS_SUCCESS if state in ("complete", "pruned") else STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._writers[number].add_plugin_data(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))
        self._writers.pop(number).close()

    def close(self) -> None:
        """Closes all files; trials that are not over get no end."""
        while self._writers:
            self._writers.popitem()[1].close()

    def _write(self, writer: EventFile, epoch: EpochRecord) -> None:
        prefix = self._prefix(Part(epoch.fold, epoch.seed))
        metrics = {f"{prefix}{name}": value for name, value in epoch.metrics.items()}
        writer.add_scalars(metrics, epoch.epoch, epoch.sent_at)
        own = {OBJECTIVE: epoch.objective, BEST: epoch.best, EPOCHS: float(epoch.step)}
        if epoch.step == self._grace:
            own[GRACE] = epoch.best
        writer.add_scalars(own, epoch.step, epoch.sent_at)

    def _prefix(self, part: Part) -> str:
        """What a metric's name begins with: only what distinguishes parts."""
        fold = f"{part.fold}/" if len({other.fold for other in self._parts}) > 1 else ""
        return fold + (f"seed-{part.seed}/" if len({other.seed for other in self._parts}) > 1 else "")

    def _tags(self) -> dict[str, str]:
        """What HParams has a column of, and how it is headed where not by its own name."""
        names = (*EPOCH_METRICS, "loss/total")
        metric = self._metric
        grace = {} if self._grace is None else {GRACE: f"{metric} after {self._grace} epochs"}
        whole = {COMPLETE: f"{metric}, complete trials", EPOCHS: "", **grace, BEST: f"{metric}, as far as trained"}
        return {**whole, **{f"{self._prefix(part)}{name}": "" for part in self._parts for name in names}}

    def _path(self, number: int) -> Path:
        return self.folder / trial_name(number)

    def _drop(self, number: int) -> None:
        if number in self._writers:
            self._writers.pop(number).close()
        shutil.rmtree(self._path(number), ignore_errors=True)


def _experiment(config: Config, tags: Mapping[str, str]) -> Experiment:
    infos = []
    published = published_point(config).values
    for entry in entries(config.search.space).values():
        for name, kind in entry.columns(published).items():
            info = HParamInfo(name=name, type=DATA_TYPES[kind])
            if entry.interval is not None:
                info.domain_interval.min_value, info.domain_interval.max_value = entry.interval
            for choice in entry.choices:
                value = info.domain_discrete.values.add()
                if kind == "bool":
                    value.bool_value = bool(choice)
                elif kind == "text":
                    value.string_value = str(choice)
                else:
                    value.number_value = float(str(choice))
            infos.append(info)
    metrics = [MetricInfo(name=MetricName(tag=tag), display_name=title) for tag, title in tags.items()]
    return Experiment(hparam_infos=infos, metric_infos=metrics, time_created_secs=time.time())
