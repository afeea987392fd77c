"""A search before it starts: every mistake at once, or what it will do, how long, and how much room it takes.

Nothing is started and nothing is written but what a search would write first anyway: decoded images, and ImageNet
weights where they are asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owkd.config import Config, Reading
from owkd.errors import ConfigError, UserError
from search.execution.resources import TrialResources, resources_on_nodes
from search.planning.disk import DiskBound, disk_bound
from search.planning.wording import value_in_words
from search.retrain.test_evaluation import missing_test_splits
from search.runs.inputs import look_at_inputs
from search.runs.manifest import refuse_existing
from search.schedulers.asha_savings import expected_steps
from search.space.entries import entries
from search.space.parameters import published_point, suggest
from search.storage.address import Address
from search.study.warm_start import read_earlier
from search.trials.budget import Budget

if TYPE_CHECKING:
    from owkd.training.timing import EpochTime

DRAWS = 3
TABLE_EPOCH_BYTES = 4096
"""that an epoch takes in tables, event files and study together, rounded up"""
TABLE_TRIAL_BYTES = 65536
"""that a trial takes there before its first epoch"""
PICTURES_BYTES = 1 << 20
"""of a trial's pictures, rounded up; they lie in panels/ and in its event file"""


@dataclass(frozen=True)
class EntryLine:
    """An entry of the space, in words."""

    name: str
    kind: str
    range: str
    published: str


@dataclass(frozen=True)
class FoldSize:
    """What is learned on one fold."""

    fold: str
    images: int
    people: int
    validation_images: int


@dataclass(frozen=True)
class Epochs:
    """Epochs of training, all trials and parts together."""

    trial: int
    """of one whole trial"""
    search: int
    """when no trial is stopped"""
    expected: float | None
    """with the scheduler, an estimate; None where there is none"""
    retrain: int


@dataclass(frozen=True)
class Room:
    """Bytes on disk."""

    checkpoints: DiskBound
    tables: int
    """tables, study and event files, with the pictures of the best trials"""
    images: int
    """decoded, beside the data; shared by all searches on it"""
    targets: int
    """what the teacher says of every training image, where that is stored; shared likewise"""
    free: int | None
    """where the run will lie; None for an object store, which does not say"""

    @property
    def run(self) -> int:
        """What the run's folder takes at most."""
        return self.checkpoints.total + self.tables


@dataclass(frozen=True)
class Plan:
    """A search that could start now."""

    config: Config
    run: Address
    folds: tuple[FoldSize, ...]
    space: tuple[EntryLine, ...]
    draws: tuple[Mapping[str, Any], ...]
    """settings that the space may propose, values by dotted path"""
    epochs: Epochs
    share: TrialResources | None
    """None where not one trial fits on this machine"""
    no_share: str
    """why"""
    epoch: EpochTime | None
    """None when it was not measured"""
    room: Room
    notes: tuple[str, ...]

    @property
    def targets_s(self) -> float:
        """Seconds of making the teacher's targets, once for all trials; 0 where none are stored or nothing is timed."""
        images = sum(fold.images for fold in self.folds)
        return self.epoch.target_image_s * images if self.epoch else 0.0

    def hours(self, epochs: float) -> float | None:
        """Of so many epochs, with as many trainings at a time as fit here."""
        if self.epoch is None or self.share is None:
            return None
        return epochs * self.epoch.seconds / self.share.at_a_time / 3600

    def device_hours(self, epochs: float) -> tuple[float, str] | None:
        """GPU-hours where trials have a share of a GPU, CPU-hours elsewhere."""
        if self.epoch is None or self.share is None:
            return None
        share, unit = (self.share.gpu, "GPU-hours") if self.share.gpu else (self.share.cpu, "CPU-hours")
        return epochs * self.epoch.seconds * share / 3600, unit

    def to_dict(self) -> dict[str, Any]:
        """Plain values for scripts; hours and bytes as numbers."""
        kinds = {"search": self.epochs.search, "expected": self.epochs.expected, "retrain": self.epochs.retrain}
        return {
            "run": str(self.run),
            "trials": self.config.search.trials,
            "folds": [asdict(fold) for fold in self.folds],
            "space": [asdict(entry) for entry in self.space],
            "draws": [dict(values) for values in self.draws],
            "epochs": asdict(self.epochs),
            "targets_s": self.targets_s,
            "at_a_time": self.share.at_a_time if self.share else 0,
            "epoch_s": self.epoch.seconds if self.epoch else None,
            "hours": {name: None if count is None else self.hours(count) for name, count in kinds.items()},
            "device_hours": {
                name: None if count is None else (self.device_hours(count) or (None,))[0]
                for name, count in kinds.items()
            },
            "bytes": {
                "checkpoints": self.room.checkpoints.total,
                "tables": self.room.tables,
                "run": self.room.run,
                "images": self.room.images,
                "targets": self.room.targets,
                "free": self.room.free,
            },
            "notes": list(self.notes),
        }


def mistakes(reading: Reading, runs: Path | str) -> list[str]:
    """Everything that would keep the search from starting, of the configuration and of what it stands on."""
    found = list(reading.problems)
    if reading.partial is None:
        return found
    config, missing = reading.partial.config, reading.partial.missing
    left_out = any(path == "search" or path.startswith("search.space") for path in missing)
    if not config.search.space and not left_out:
        found.append("search.space must name at least one field; add one")
    found.extend(look_at_inputs(config, _unknown(missing))[1])
    try:
        read_earlier(config)
    except ConfigError as error:
        found.extend(error.problems)
    if "name" not in missing:
        try:
            refuse_existing(Address.of(runs) / config.name)
        except UserError as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def make_plan(config: Config, runs: Path | str, *, measure: bool = True) -> Plan:
    """What a search with this configuration, which has no mistakes, would do on this machine.

    With `measure`, a few steps of a training are made, and forgotten. Raises `ConfigError` when a disk is too small.
    """
    from owkd.training.targets import targets_bytes

    folds = tuple(_fold_sizes(config))
    share, no_share = _share_here(config)
    people = max(fold.people for fold in folds)
    bound = disk_bound(config, identities=people, at_a_time=share.at_a_time if share else 1)
    epochs = _epochs(config)
    tables = (epochs.search + epochs.retrain) * TABLE_EPOCH_BYTES + config.search.trials * TABLE_TRIAL_BYTES
    tables += 2 * min(config.retrain.top_k, config.search.trials) * PICTURES_BYTES
    pixels = 3 * config.data.image_size**2
    images = pixels * sum(fold.images + fold.validation_images for fold in folds)
    targets = sum(targets_bytes(config, fold) for fold in config.fold_names())
    run = Address.of(runs) / config.name
    free = None if run.remote else shutil.disk_usage(_existing(run.path)).free
    room = Room(bound, tables, images, targets, free)
    if room.free is not None and room.run > room.free:
        raise ConfigError(
            [
                f"--runs must lie where a run has room, but {runs} has {room.free / 1e9:.1f} GB free and the run takes "
                f"up to {room.run / 1e9:.1f} GB; make room, choose another folder, or lower retrain.top_k"
            ],
            "the plan",
        )
    return Plan(
        config=config,
        run=run,
        folds=folds,
        space=tuple(_entries(config)),
        draws=tuple(_draws(config)),
        epochs=epochs,
        share=share,
        no_share=no_share,
        epoch=_time_epoch(config) if measure else None,
        room=room,
        notes=tuple(_notes(config)),
    )


def _unknown(missing: tuple[str, ...]) -> set[str]:
    """Sections whose own mistakes leave it open what the search stands on."""
    unknown = {path.partition(".")[0] for path in missing} & {"data", "student"}
    return unknown | ({"teacher"} if {"teacher", "teacher.checkpoint"} & set(missing) else set())


def _fold_sizes(config: Config) -> Iterator[FoldSize]:
    from owkd.data.index import read_split

    data = config.data
    for fold in config.fold_names():
        train = read_split(data.root, data.dataset, fold, "train")
        validation = read_split(data.root, data.dataset, fold, "validation")
        yield FoldSize(fold, len(train.paths), train.num_identities, len(validation.paths))


def _share_here(config: Config) -> tuple[TrialResources | None, str]:
    import torch

    node = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    try:
        return resources_on_nodes(config, [node]), ""
    except ConfigError as error:
        return None, "; ".join(error.problems).replace("the cluster has 1 node, the largest with", "this machine has")


def _epochs(config: Config) -> Epochs:
    budget, scheduler = Budget.of(config), config.search.scheduler
    expected: float | None = None
    if scheduler.name == "none":
        expected = budget.search_steps
    elif scheduler.name == "asha":
        grace, factor = scheduler.grace_epochs, scheduler.reduction_factor
        expected = expected_steps(budget.trials, longest=budget.trial_steps, grace=grace, factor=factor)
    return Epochs(budget.trial_steps, budget.search_steps, expected, budget.final_epochs)


def _entries(config: Config) -> Iterator[EntryLine]:
    published = published_point(config).values
    for name, entry in entries(config.search.space).items():
        # a weight of a section that is no section at the moment has its value there: stage_weights, `learned`
        value = published.get(name, published.get(name.rpartition(".")[0]))
        yield EntryLine(name, entry.kind, entry.range, value_in_words(value))


def _draws(config: Config) -> Iterator[dict[str, Any]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=config.search.sampler.seed)
    study = optuna.create_study(sampler=sampler)
    for _ in range(DRAWS):
        yield suggest(study.ask(), config.search.space)


def _time_epoch(config: Config) -> EpochTime:
    import torch

    from owkd.training.timing import time_epoch

    torch.set_num_threads(max(1, int(config.search.resources.cpu)))  # as a trial
    return time_epoch(config, config.data.folds[0])


def _notes(config: Config) -> Iterator[str]:
    for place in missing_test_splits(config):
        yield f"There is no {place}: `owkd retrain` will refuse this run until there is."


def _existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
