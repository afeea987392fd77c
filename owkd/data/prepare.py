"""SYSU-MM01 as distributed -> the infrared images of it in the published folder layout, in two folds."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from owkd.data.folds import MIN_IDENTITIES, Folds, divide
from owkd.data.identity_list import read_identity_list
from owkd.data.index import ALL_CAMERAS, list_images
from owkd.errors import DataError
from owkd.files import make_folder, move_into_place, require_writable, sync_folder
from owkd.unfinished import unfinished_folder

DATASET = "SYSU-MM01_thermal"
INFRARED_CAMERAS = (3, 6)
LISTINGS = ("train_id.txt", "val_id.txt", "test_id.txt")
PLAN_FILE = "folds.json"
NOTE = (
    "The authors' division of SYSU-MM01 into folds is not published. This one is ours: figures are comparable among "
    "models that use it, not with published ones."
)


@dataclass
class Summary:
    """What a preparation did.

    Attributes:
        folder: the data set's folder
        identities: by fold and split
        images: by fold and split
        kept: files that were there from an earlier run
        without_infrared: listed people whom cameras 3 and 6 never saw; they are in no fold
    """

    folder: Path
    note: str = NOTE
    identities: dict[str, dict[str, int]] = field(default_factory=dict)
    images: dict[str, dict[str, int]] = field(default_factory=dict)
    linked: int = 0
    copied: int = 0
    kept: int = 0
    without_infrared: tuple[int, ...] = ()


def prepare_sysu(raw: Path, folder: Path, *, seed: int = 0, dataset: str = DATASET) -> Summary:
    """Fills `<folder>/<dataset>/Fold{1,2}/{train,validation,test}/allcam/<identity>/cam<C>_<number>.jpg`.

    `raw` holds `cam3`, `cam6` and `exp/{train,val,test}_id.txt`. All listed people whom an infrared camera saw are
    divided by `seed` as in `owkd.data.folds`; the lists' own division, made for another task, is not used. Files are
    hard links where the file system allows it, else copies. A preparation that was stopped resumes when called again.

    Raises `DataError` when something of `raw` is missing or unreadable, when too few people are found, or when the
    target holds files of anything else.
    """
    raw, target = Path(raw), Path(folder) / dataset
    require_writable(target / PLAN_FILE, "DIR")
    sources = {identity: list(_infrared_images(raw, identity)) for identity in _listed_identities(raw)}
    seen = [identity for identity, images in sources.items() if images]
    if len(seen) < MIN_IDENTITIES:
        raise DataError(
            f"at least {MIN_IDENTITIES} people must have infrared images, but {raw} has {len(seen)} in cam3 and cam6; "
            "unpack the whole data set"
        )
    folds = divide(seen, np.random.default_rng(seed))
    with unfinished_folder(target) as scratch:
        _claim(target, {"note": NOTE, "seed": seed, "folds": folds}, scratch)
        return _filled(target, folds, sources, scratch)


def _filled(target: Path, folds: Folds, sources: Mapping[int, Sequence[tuple[str, Path]]], scratch: Path) -> Summary:
    seen = {identity for splits in folds.values() for members in splits.values() for identity in members}
    summary = Summary(target, without_infrared=tuple(sorted(sources.keys() - seen)))
    first_places: dict[Path, Path] = {}
    for fold, splits in folds.items():
        for split, members in splits.items():
            place = target / fold / split / ALL_CAMERAS
            for identity in members:
                _fill(place / f"{identity:04d}", sources[identity], first_places, summary, scratch)
            summary.identities.setdefault(fold, {})[split] = len(members)
            summary.images.setdefault(fold, {})[split] = sum(len(sources[identity]) for identity in members)
    return summary


def _listed_identities(raw: Path) -> list[int]:
    for camera in INFRARED_CAMERAS:
        if not (raw / f"cam{camera}").is_dir():
            raise DataError(
                f"SYSU-MM01 must hold its infrared images in cam3 and cam6, but {raw / f'cam{camera}'} is no folder; "
                "give the folder that holds cam1 to cam6 and exp"
            )
    return sorted({identity for name in LISTINGS for identity in read_identity_list(raw / "exp" / name)})


def _infrared_images(raw: Path, identity: int) -> Iterator[tuple[str, Path]]:
    """New name and file of every infrared image of a person."""
    for camera in INFRARED_CAMERAS:
        place = raw / f"cam{camera}" / f"{identity:04d}"
        if place.is_dir():
            for image in list_images(place):
                yield f"cam{camera}_{image.name}", image


def _claim(target: Path, plan: dict[str, Any], scratch: Path) -> None:
    """Writes the division into the target first, so that a later call can check that it resumes the same one."""
    path = target / PLAN_FILE
    text = json.dumps(plan, indent=1, sort_keys=True) + "\n"
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise DataError(
                f"a preparation must resume as it began, but {path} describes another division (other seed or other "
                "raw images); name another folder"
            )
        return
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"the target must be new or empty, but {target} holds other files; name another folder")
    make_folder(target)
    unfinished = scratch / PLAN_FILE
    unfinished.write_text(text, encoding="utf-8")
    move_into_place(unfinished, path)  # from here on the target counts as claimed


def _fill(
    place: Path, images: Sequence[tuple[str, Path]], first_places: dict[Path, Path], summary: Summary, scratch: Path
) -> None:
    make_folder(place)
    for name, source in images:
        target = place / name
        if _same(source, target):
            summary.kept += 1
        elif any(_link(origin, target) for origin in dict.fromkeys((source, first_places.get(source, source)))):
            summary.linked += 1
        else:
            _replace_by_copy(source, target, scratch)
            summary.copied += 1
        first_places.setdefault(source, target)
    sync_folder(place)


def _same(source: Path, target: Path) -> bool:
    """Whether an earlier run put this file there: copies keep size and time of change, links are the file itself."""
    if not target.exists():
        return False
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _link(source: Path, target: Path) -> bool:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, too many links, or a file system without links
        return False
    return True


def _replace_by_copy(source: Path, target: Path, scratch: Path) -> None:
    try:
        shutil.copy2(source, scratch / "copy")
        move_into_place(scratch / "copy", target)
    except OSError as error:
        raise DataError(
            f"images must be written to {target.parent}, but {error}; make room and call it again"
        ) from error
