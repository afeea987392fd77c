"""TensorBoard curves of the final stage, beside those of the trials: `retrain-<configuration>-<fold>-seed-<s>`."""

from __future__ import annotations

import shutil
from pathlib import Path

from search.tensorboard.event_file import EventFile
from search.trials.listener import ActiveJob, EpochRecord, JobListener
from search.trials.view import Ending


class RetrainEventFiles(JobListener[ActiveJob]):
    """Event files of the models in training, by their keys. Tags are the trials', so that one chart shows both."""

    def __init__(self, tensorboard: Path) -> None:
        self._tensorboard = tensorboard
        self._files: dict[str, EventFile] = {}

    def job_started(self, job: ActiveJob) -> None:
        """Opens a fresh file: a model that is resumed reports all of its epochs again."""
        self._end(job.key)
        folder = self._tensorboard / f"retrain-{job.key.replace('/', '-')}"
        shutil.rmtree(folder, ignore_errors=True)
        self._files[job.key] = EventFile(folder)

    def epoch_recorded(self, job: ActiveJob, epoch: EpochRecord) -> None:
        """Writes one epoch; a reader sees it at once."""
        self._files[job.key].add_scalars(epoch.metrics, epoch.epoch, epoch.sent_at)
        self._files[job.key].flush()

    def job_ended(self, job: ActiveJob, ending: Ending) -> None:
        """Ends a model's file, if it has one."""
        self._end(job.key)

    def close(self) -> None:
        """Ends all files."""
        while self._files:
            self._files.popitem()[1].close()

    def _end(self, key: str) -> None:
        if file := self._files.pop(key, None):
            file.close()
