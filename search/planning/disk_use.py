"""The room on disk that a run and what it stands on take, and whether there is as much."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from owkd.config import Config
from owkd.errors import ConfigError
from search.execution.teacher_targets import wanted
from search.planning.checkpoint_bound import CheckpointBound
from search.retrain.control import decide_on_control
from search.storage.address import Address
from search.trials.budget import Budget

TABLE_EPOCH_BYTES = 4096
"""that an epoch takes in tables, event files and study together, rounded up"""
TABLE_TRIAL_BYTES = 65536
"""that a trial takes there before its first epoch"""
PICTURES_BYTES = 1 << 20
"""of a trial's pictures, rounded up; they are in panels/ and in its event file"""


@dataclass(frozen=True)
class DiskUse:
    """Bytes on disk.

    Attributes:
        tables: tables, study and event files, with the pictures of the best trials
        images: decoded, beside the data; shared by all searches on it
        targets: the teacher's outputs for every training image, where they are stored; shared likewise
        free: where the run will be; None for an object store, which does not say
    """

    checkpoints: CheckpointBound
    tables: int
    images: int
    targets: int
    free: int | None

    @property
    def run(self) -> int:
        """What the run's folder takes at most."""
        return self.checkpoints.total + self.tables

    def require_room(self, runs: Path | str) -> None:
        """Raises `ConfigError` where the run takes more than is free below `runs`."""
        if self.free is not None and self.run > self.free:
            raise ConfigError(
                [
                    f"--runs must lie where a run has room, but {runs} has {self.free / 1e9:.1f} GB free and the run "
                    f"takes up to {self.run / 1e9:.1f} GB; make room, choose another folder, or lower retrain.top_k"
                ],
                "the plan",
            )


def disk_use(config: Config, run: Address, checkpoints: CheckpointBound, num_images: int) -> DiskUse:
    """Of a run at `run` whose folds have `num_images` images to train on and to validate with."""
    from owkd.training.targets import targets_bytes

    return DiskUse(
        checkpoints,
        tables=table_bytes(config),
        images=3 * config.data.image_size**2 * num_images,
        targets=sum(targets_bytes(wanted(config), fold) for fold in config.fold_names()),
        free=None if run.remote else shutil.disk_usage(_existing(run.path)).free,
    )


def table_bytes(config: Config) -> int:
    """Of tables, study, event files and pictures, at most."""
    budget = Budget.of(config)
    epochs, trials = budget.search_steps + budget.final_epochs, budget.trials
    if decide_on_control(config).is_on:  # its trials take no more epochs than the search's; one epoch is the least
        epochs += budget.search_steps + budget.control_epochs
        trials += budget.search_steps
    pictures = 2 * min(config.retrain.top_k, budget.trials) * PICTURES_BYTES
    return epochs * TABLE_EPOCH_BYTES + trials * TABLE_TRIAL_BYTES + pictures


def _existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
