"""What is derived from data sets and shared by all trainings on them: listed and cleared.

    <data set>/.owkd-cache, <data.cache>/<data set>-<digest> or ~/.cache/owkd/<data set>-<digest>:
        Fold1-train-*.npy       decoded images
        targets-*/              the teacher's outputs for every training image
        *.json                  what the image files are

Whatever is cleared is made anew by the next training that needs it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from owkd.data.reading.places import CACHE_FOLDER, shared_place, user_cache

TARGETS = "targets-"


@dataclass(frozen=True)
class Cache:
    """The derived files of one data set in one place.

    Attributes:
        images: bytes of decoded images
        targets: bytes of the teacher's targets
        other: bytes of everything else
    """

    folder: Path
    images: int
    targets: int
    other: int

    @property
    def bytes(self) -> int:
        """Of all of it."""
        return self.images + self.targets + self.other


def caches_of(dataset: Path, folder: Path | None = None) -> list[Cache]:
    """Those of a data set that are there: beside it, in the user's cache folder, and in `folder` (`data.cache`)."""
    places = [dataset / CACHE_FOLDER, shared_place(user_cache(), dataset)]
    places += [] if folder is None else [shared_place(folder, dataset)]
    return [measure(place) for place in places if place.is_dir()]


def user_caches() -> list[Cache]:
    """Those in the user's cache folder, of whichever data set."""
    return [measure(place) for place in sorted(user_cache().glob("*-????????")) if place.is_dir()]


def measure(folder: Path) -> Cache:
    """What is in a cache at the moment."""
    images = _bytes(path for path in folder.glob("*.npy"))
    targets = _bytes(path for place in folder.glob(f"{TARGETS}*") for path in (place, *place.rglob("*")))
    return Cache(folder, images, targets, _bytes(folder.rglob("*")) - images - targets)


def clear(cache: Cache) -> None:
    """Removes a cache. Trainings that have its files open keep them until they end. Raises `OSError`."""
    shutil.rmtree(cache.folder)


def _bytes(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # removed meanwhile
            continue
    return total
