"""TensorBoard curves of the final stage, beside those of the trials: `retrain-<configuration>-<fold>-seed-<s>`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from search.tensorboard.event_file import EventFile


class RetrainEventFiles:
    """Event files of the models in training, by their keys. Tags are the trials', so that one chart shows both."""

    def __init__(self, tensorboard: Path) -> None:
        self._tensorboard = tensorboard
        self._files: dict[str, EventFile] = {}

    def start(self, key: str) -> None:
        """Opens a fresh file: a model that is resumed reports all of its epochs again."""
        self.end(key)
        folder = self._tensorboard / f"retrain-{key.replace('/', '-')}"
        shutil.rmtree(folder, ignore_errors=True)
        self._files[key] = EventFile(folder)

    def add_epoch(self, key: str, epoch: int, metrics: Mapping[str, float], at: float) -> None:
        """Writes one epoch; a reader sees it at once. `at`: seconds since the Unix epoch."""
        self._files[key].add_scalars(metrics, epoch, at)
        self._files[key].flush()

    def end(self, key: str) -> None:
        """Ends a model's file, if it has one."""
        if file := self._files.pop(key, None):
            file.close()

    def close(self) -> None:
        """Ends all files."""
        while self._files:
            self._files.popitem()[1].close()
