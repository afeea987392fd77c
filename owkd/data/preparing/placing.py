"""Puts the files of an arrangement into the published folder layout: hard links where they can be, else copies.

<folder>/<dataset>/folds.json                                       who is where, and whose division that is
<folder>/<dataset>/<Fold>/<split>/allcam/<identity>/<name>
"""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from owkd.data.index import ALL_CAMERAS
from owkd.data.preparing.arrangement import Arrangement, Placed, people_of
from owkd.errors import DataError
from owkd.files import make_folder, move_into_place, require_writable, sync_folder
from owkd.unfinished import unfinished_folder

PLAN_FILE = "folds.json"


@dataclass
class Summary:
    """What a preparation did.

    Attributes:
        folder: the data set's folder
        identities: by fold and split
        images: by fold and split
        kept: files that were there from an earlier call
    """

    folder: Path
    note: str
    remarks: tuple[str, ...] = ()
    identities: dict[str, dict[str, int]] = field(default_factory=dict)
    images: dict[str, dict[str, int]] = field(default_factory=dict)
    linked: int = 0
    copied: int = 0
    kept: int = 0


def place(arrangement: Arrangement, folder: Path) -> Summary:
    """Fills `<folder>/<dataset>` -> what was done. A call that was stopped is completed by the next.

    Raises `DataError` when the target holds files of anything else, or another division, and `UserError` where nothing
    can be written.
    """
    target = Path(folder) / arrangement.dataset
    require_writable(target / PLAN_FILE, "DIR")
    summary = Summary(target, arrangement.note, arrangement.remarks)
    with unfinished_folder(target) as scratch:
        _claim(target, arrangement.description(), scratch)
        first_places: dict[Path, Path] = {}
        for fold, splits in arrangement.folds.items():
            for split, placed in splits.items():
                by_person: dict[int, list[Placed]] = defaultdict(list)
                for each in placed:
                    by_person[each.identity].append(each)
                for identity, own in sorted(by_person.items()):
                    home = target / fold / split / ALL_CAMERAS / f"{identity:04d}"
                    _fill(home, own, first_places, summary, scratch)
                summary.identities.setdefault(fold, {})[split] = len(people_of(placed))
                summary.images.setdefault(fold, {})[split] = len(placed)
    return summary


def _claim(target: Path, plan: dict[str, Any], scratch: Path) -> None:
    """Writes the division into the target first, so that a later call can check that it resumes the same one."""
    path = target / PLAN_FILE
    text = json.dumps(plan, indent=1, sort_keys=True) + "\n"
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise DataError(
                f"a preparation must resume as it began, but {path} describes another division (other options or other "
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
    home: Path, placed: Sequence[Placed], first_places: dict[Path, Path], summary: Summary, scratch: Path
) -> None:
    make_folder(home)
    before = summary.kept
    for each in placed:
        target, source = home / each.name, each.source
        if _same(source, target):
            summary.kept += 1
        elif any(_link(origin, target) for origin in dict.fromkeys((source, first_places.get(source, source)))):
            summary.linked += 1
        else:
            _replace_by_copy(source, target, scratch)
            summary.copied += 1
        first_places.setdefault(source, target)
    if summary.kept - before < len(placed):
        sync_folder(home)


def _same(source: Path, target: Path) -> bool:
    """Whether an earlier call put this file there: copies keep size and time of change, links are the file itself."""
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
