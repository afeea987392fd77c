"""Where what is derived from a data set is stored: decoded images, the teacher's targets, what its files are."""

import hashlib
import os
from pathlib import Path

from owkd.data.index import Split

CACHE_FOLDER = ".owkd-cache"


def cache_places(split: Split, cache: Path | None = None) -> list[Path]:
    """Folders for what is derived from a data set, the preferred one first; none is made by asking."""
    home = split.home or split.folder
    return (
        [shared_place(Path(cache), home)]
        if cache is not None
        else [home / CACHE_FOLDER, shared_place(user_cache(), home)]
    )


def stem_of(split: Split) -> str:
    """How files about a split begin: `Fold1-train`."""
    return "-".join(split.folder.relative_to(split.home or split.folder).parts)


def shared_place(folder: Path, home: Path) -> Path:
    """Where a data set's arrays are stored in a folder that several data sets share."""
    place = home.resolve()
    return folder / f"{place.name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"


def user_cache() -> Path:
    """The folder of this user's caches, which may not be there."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "owkd"
