"""The room that a search needs on disks before its first trial: for its run, for decoded images and for targets.

Decoded images and the teacher's targets are made once for all trials, on each node that has a disk of its own for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owkd.config import Config
from search.execution.teacher_targets import wanted
from search.planning.checkpoint_bound import checkpoint_bound
from search.planning.disk_use import table_bytes
from search.storage.address import Address

if TYPE_CHECKING:
    from owkd.data.index import Split


@dataclass(frozen=True)
class Room:
    """What a folder takes at most.

    Attributes:
        wanted: bytes, those included that are there already
        held: patterns of paths that hold what is there already
        purpose: what it is for, in words
        remedy: what to set where there is too little room, in words
    """

    folder: Path
    wanted: int
    held: tuple[str, ...]
    purpose: str
    remedy: str


def rooms(config: Config, run: Address, at_a_time: int) -> tuple[Room, ...]:
    """What a search at `run` takes of disks, with so many trials at a time. Raises `DataError`, `CheckpointError`."""
    people, found = 1, []
    for fold in config.fold_names():
        splits = _splits(config, fold)
        people = max(people, splits[0].num_identities)
        found += [_images(config, fold, splits), *_targets(config, fold, splits[0])]
    if not run.remote:
        bound = checkpoint_bound(config, identities=people, at_a_time=max(1, at_a_time))
        used = bound.search + table_bytes(config)
        found.append(Room(run.path.absolute(), used, (str(run.path.absolute()),), "checkpoints and tables", "--runs"))
    return tuple(found)


def _splits(config: Config, fold: str) -> tuple[Split, Split]:
    from owkd.data.index import read_split

    data = config.data
    train, validation = (read_split(data.root, data.dataset, fold, split) for split in ("train", "validation"))
    return train, validation


def _images(config: Config, fold: str, splits: tuple[Split, Split]) -> Room:
    from owkd.data.reading.places import cache_places

    place, size = cache_places(splits[0], config.data.cache)[0].absolute(), config.data.image_size
    count = sum(len(split.paths) for split in splits)
    held = tuple(f"{place}/{fold}-{split}-{size}-*.npy" for split in ("train", "validation"))
    return Room(place, 3 * size**2 * count, held, "decoded images", "data.cache")


def _targets(config: Config, fold: str, train: Split) -> Iterator[Room]:
    """None where the teacher runs in every step anyway, or may as the driver has too little room too."""
    from owkd.training.recipe.augmentation import Augmentation
    from owkd.training.target_building import has_room
    from owkd.training.targets import plans_of_targets

    everything, use = wanted(config), config.teacher.targets.use
    if use == "live" or not everything.distill.enabled or not Augmentation.of(everything.train).is_storable:
        return
    for plan in plans_of_targets(everything, fold, train):
        if use == "auto" and plan.find() is None and not has_room(plan):
            return
        place = plan.places[0].absolute()
        yield Room(place, plan.bytes, (f"{place}/{plan.name}",), "the teacher's targets", "teacher.targets.folder")
