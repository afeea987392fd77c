"""The folders and files of a fold: what training would refuse, and what it would pass over."""

from collections.abc import Iterator
from pathlib import Path

from owkd.data.checking.report import Item, Report, SplitCount
from owkd.data.index import (
    ALL_CAMERAS,
    IMAGE_SUFFIXES,
    SPLITS,
    SplitName,
    camera_folders,
    folders_in,
    identity_number,
    list_images,
)
from owkd.errors import DataError

NOT_WORTH_A_WORD = frozenset({"thumbs.db", "desktop.ini"})


def scan_fold(report: Report, fold: Path) -> Iterator[Item]:
    """Lists a fold's images and notes what is wrong with its folders."""
    report.counts[fold.name] = {}
    for split in SPLITS:
        where = f"{fold.name}/{split}"
        if not (fold / split).is_dir():
            report.add("fatal", "missing_split", where, f"the fold must have a folder {split!r}; add it")
            continue
        try:
            places = camera_folders(fold / split)
        except DataError as error:
            report.add("fatal", "wrong_layout", where, str(error), [fold / split])
            continue
        _note_passed_over(report, where, fold / split, places)
        seen: dict[int, Path] = {}
        items = [item for place in places for item in _scan_identities(report, where, split, place, seen)]
        if not items:
            report.add("fatal", "no_images", where, "the split must have images, but holds none", [fold / split])
        identities = {item.identity for item in items}
        report.counts[fold.name][split] = SplitCount(len(identities), len(items))
        yield from items


def _note_passed_over(report: Report, where: str, split: Path, places: list[Path]) -> None:
    """Images that stand in no identity's folder, links that lead nowhere, and cameras beside `allcam`."""
    stray = [entry for place in (split, *places) for entry in _shown(place) if _is_stray(entry)]
    if stray:
        text = (
            "an image must be in the folder of its identity, but these, or links that lead nowhere, are outside of "
            "one, where they would be passed over; move or remove them"
        )
        report.add("fatal", "no_identity", where, text, stray)
    if [place.name for place in places] == [ALL_CAMERAS] and (other := set(folders_in(split)) - set(places)):
        text = f"folders beside {ALL_CAMERAS!r} are passed over; move what they hold into it, or remove them"
        report.add("warning", "ignored_folder", where, text, sorted(other))


def _is_stray(entry: Path) -> bool:
    return not entry.exists() or (entry.is_file() and entry.suffix.lower() in IMAGE_SUFFIXES)


def _shown(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _scan_identities(
    report: Report, where: str, split: SplitName, place: Path, seen: dict[int, Path]
) -> Iterator[Item]:
    """`seen`: the folder of each identity, of all cameras."""
    for directory in folders_in(place):
        identity = identity_number(directory.name)
        if identity is None:
            text = f"an identity folder must be named by a number, but got {directory.name!r}; rename or remove it"
            report.add("fatal", "identity_not_a_number", where, text, [directory])
            continue
        before = seen.setdefault(identity, directory)
        if before.name != directory.name:
            text = f"identity {identity} must have one name, but has two; merge or rename the folders"
            report.add("fatal", "identity_twice", where, text, [before, directory])
        images = list_images(directory)
        if not images:
            text = f"identity {identity} must have images, but its folder has none; remove or fill it"
            report.add("fatal", "identity_without_images", where, text, [directory])
        _note_other_files(report, where, directory)
        yield from (Item(image, split, identity) for image in images)


def _note_other_files(report: Report, where: str, directory: Path) -> None:
    if ignored := [entry for entry in _shown(directory) if _is_ignored(entry)]:
        text = f"files are passed over unless they end in {', '.join(sorted(IMAGE_SUFFIXES))}"
        report.add("warning", "ignored_file", where, text, ignored)
    if lost := [entry for entry in _shown(directory) if not entry.is_file()]:
        text = "an identity folder must hold files alone, but holds folders, or links that lead nowhere; remove them"
        report.add("fatal", "no_file", where, text, lost)


def _is_ignored(entry: Path) -> bool:
    known = entry.suffix.lower() in IMAGE_SUFFIXES or entry.name.lower() in NOT_WORTH_A_WORD
    return entry.is_file() and not known
