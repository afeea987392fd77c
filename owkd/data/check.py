"""Looks through a data set for what would spoil a result: damaged images, leaks between splits, a wrong layout."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from owkd.data.images import unreadable_because
from owkd.data.index import IMAGE_SUFFIXES, SPLITS, SplitName, camera_folders, identity_number, list_images
from owkd.errors import DataError

Severity = Literal["fatal", "warning"]
Kind = Literal[
    "missing_split",
    "no_images",
    "wrong_layout",
    "identity_not_a_number",
    "identity_without_images",
    "identity_twice",
    "damaged_image",
    "blank_image",
    "image_in_two_splits",
    "image_of_two_identities",
    "image_twice",
    "identity_in_test_and_training",
    "identity_in_train_and_validation",
    "single_image",
    "ignored_file",
    "no_file",
]
NOT_WORTH_A_WORD = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Finding:
    """Something wrong: fatal when results would be false or training would refuse, else a warning.

    Attributes:
        where: fold, or fold/split
        text: what, and what to do
        paths: files and folders concerned, relative to the data set's folder
    """

    severity: Severity
    kind: Kind
    where: str
    text: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitCount:
    """What one split of one fold holds."""

    identities: int
    images: int


@dataclass
class Report:
    """Result of a check.

    Attributes:
        counts: by fold and split
    """

    folder: Path
    counts: dict[str, dict[str, SplitCount]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def fatal(self) -> tuple[Finding, ...]:
        """The findings that would spoil a result."""
        return tuple(finding for finding in self.findings if finding.severity == "fatal")


@dataclass(frozen=True)
class _Item:
    """An image file of a split."""

    path: Path
    split: SplitName
    identity: int


@dataclass(frozen=True)
class _Content:
    """What an image file holds: a digest of its pixels, or why there are none."""

    digest: str = ""
    blank: bool = False
    problem: str = ""


def dataset_folders(folder: Path) -> list[Path]:
    """The data sets in a folder: itself, when its children hold splits, or else the children that are data sets.

    Raises `DataError` when there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"a data set must be a folder, but got {folder}; give the folder that holds Fold1")
    if _is_dataset(folder):
        return [folder]
    inside = [child for child in _folders(folder) if _is_dataset(child)]
    if not inside:
        raise DataError(
            f"a data set must hold folds with {', '.join(SPLITS)} in them, but {folder} does not; give the folder "
            "that holds Fold1"
        )
    return inside


def check_dataset(folder: Path) -> Report:
    """Looks through every fold of the data set in `folder` (`<root>/<dataset>`), decoding every image.

    Images are the same when their size and all pixels are, whatever the file format. Raises `DataError` when `folder`
    is no data set at all; everything else is a finding.
    """
    folder = Path(folder)
    if not folder.is_dir() or not _is_dataset(folder):
        raise DataError(f"a data set must hold folds with {', '.join(SPLITS)} in them, but {folder} does not")
    report = Report(folder)
    folds = {fold.name: list(_scan_fold(report, fold)) for fold in _folders(folder)}
    contents = _read_all(item.path for items in folds.values() for item in items)
    for fold, items in folds.items():
        _check_images(report, fold, items, contents)
        _check_identities(report, fold, items)
    return report


def _is_dataset(folder: Path) -> bool:
    folds = _folders(folder)
    return any((fold / split).is_dir() for fold in folds for split in SPLITS)


def _folders(parent: Path) -> list[Path]:
    return sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _scan_fold(report: Report, fold: Path) -> Iterator[_Item]:
    """Lists a fold's images and notes what is wrong with its folders."""
    report.counts[fold.name] = {}
    for split in SPLITS:
        where = f"{fold.name}/{split}"
        items: list[_Item] = []
        if not (fold / split).is_dir():
            _add(report, "fatal", "missing_split", where, f"the fold must have a folder {split!r}; add it")
            continue
        try:
            places = camera_folders(fold / split)
        except DataError as error:
            _add(report, "fatal", "wrong_layout", where, str(error), [fold / split])
            continue
        for place in places:
            items.extend(_scan_identities(report, where, split, place))
        if not items:
            _add(report, "fatal", "no_images", where, "the split must have images, but holds none", [fold / split])
        identities = {item.identity for item in items}
        report.counts[fold.name][split] = SplitCount(len(identities), len(items))
        yield from items


def _scan_identities(report: Report, where: str, split: SplitName, place: Path) -> Iterator[_Item]:
    seen: dict[int, Path] = {}
    for directory in _folders(place):
        identity = identity_number(directory.name)
        if identity is None:
            text = f"an identity folder must be named by a number, but got {directory.name!r}; rename or remove it"
            _add(report, "fatal", "identity_not_a_number", where, text, [directory])
            continue
        if identity in seen:
            text = f"identity {identity} must have one folder, but has two; merge or rename them"
            _add(report, "fatal", "identity_twice", where, text, [seen[identity], directory])
        seen.setdefault(identity, directory)
        images = list_images(directory)
        if not images:
            text = f"identity {identity} must have images, but its folder has none; remove or fill it"
            _add(report, "fatal", "identity_without_images", where, text, [directory])
        ignored = [entry for entry in directory.iterdir() if _is_ignored(entry)]
        if ignored:
            text = f"files are passed over unless they end in {', '.join(sorted(IMAGE_SUFFIXES))}"
            _add(report, "warning", "ignored_file", where, text, sorted(ignored))
        if lost := [entry for entry in directory.iterdir() if not entry.name.startswith(".") and not entry.is_file()]:
            text = (
                "an identity folder must hold files alone, but holds folders, or links that lead nowhere; remove them"
            )
            _add(report, "fatal", "no_file", where, text, sorted(lost))
        yield from (_Item(image, split, identity) for image in images)


def _is_ignored(entry: Path) -> bool:
    known = entry.suffix.lower() in IMAGE_SUFFIXES or entry.name.lower() in NOT_WORTH_A_WORD
    return entry.is_file() and not known and not entry.name.startswith(".")


def _read_all(paths: Iterable[Path]) -> dict[Path, _Content]:
    """Decodes every file, and one that has several names (hard links) once."""
    by_file: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for path in paths:
        status = path.stat()
        by_file[status.st_dev, status.st_ino].append(path)
    groups = list(by_file.values())
    with ThreadPoolExecutor() as pool:
        results = pool.map(_read, (group[0] for group in groups))
        return {path: content for group, content in zip(groups, results, strict=True) for path in group}


def _read(path: Path) -> _Content:
    try:
        with Image.open(path) as image:
            image.info.pop("transparency", None)  # alpha is dropped when images are loaded, too
            pixels = np.asarray(image if image.mode != "P" else image.convert("RGB"))
    except Exception as error:  # a decoder that is fed damaged bytes may raise anything
        return _Content(problem=unreadable_because(path, error))
    if pixels.ndim == 3 and pixels.shape[2] == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]  # grey saved as colour is the same image
    digest = hashlib.blake2b(f"{pixels.shape} {pixels.dtype}".encode())
    digest.update(pixels.tobytes())
    return _Content(digest.hexdigest(), blank=bool((pixels == pixels.flat[0]).all()))


def _check_images(report: Report, fold: str, items: list[_Item], contents: dict[Path, _Content]) -> None:
    same: dict[str, list[_Item]] = defaultdict(list)
    unreadable: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for item in items:
        content, where = contents[item.path], f"{fold}/{item.split}"
        if content.problem:
            unreadable[where, content.problem].append(item.path)
        elif content.blank:
            _add(report, "warning", "blank_image", where, "an image shows one grey value everywhere", [item.path])
        else:
            same[content.digest].append(item)
    for (where, problem), paths in unreadable.items():
        text = f"an image must be readable, but is not: {problem}; remove or replace it"
        if len(paths) > 1:
            text = f"images must be readable, but {len(paths)} are not: {problem}; remove or replace them"
        _add(report, "fatal", "damaged_image", where, text, paths)
    for group in same.values():
        if len(group) > 1:
            _add_copies(report, fold, group)


def _add_copies(report: Report, fold: str, group: list[_Item]) -> None:
    paths = [item.path for item in group]
    splits = [split for split in SPLITS if any(item.split == split for item in group)]
    if len(splits) > 1:
        text = f"an image must be in one split, but this one is in {' and '.join(splits)}; remove it from all but one"
        _add(report, "fatal", "image_in_two_splits", fold, text, paths)
    elif len({item.identity for item in group}) > 1:
        text = "an image must show one person, but this one is filed under several; find out who it is"
        _add(report, "fatal", "image_of_two_identities", f"{fold}/{splits[0]}", text, paths)
    else:
        text = "the same image is there several times, which makes recognition look easier"
        _add(report, "warning", "image_twice", f"{fold}/{splits[0]}", text, paths)


def _check_identities(report: Report, fold: str, items: list[_Item]) -> None:
    images: dict[SplitName, dict[int, int]] = {split: defaultdict(int) for split in SPLITS}
    for item in items:
        images[item.split][item.identity] += 1
    for one, other in combinations(SPLITS, 2):
        shared = sorted(images[one].keys() & images[other].keys())
        if shared and other == "test":
            text = f"people must not be in {one} and in test, but {_numbers(shared)} are; remove them from one"
            _add(report, "fatal", "identity_in_test_and_training", fold, text)
        elif shared:
            text = f"validation measures people whom training has seen: {_numbers(shared)}; other people tell more"
            _add(report, "warning", "identity_in_train_and_validation", fold, text)
    for split in SPLITS:
        single = sorted(identity for identity, count in images[split].items() if count == 1)
        if single:
            text = f"people with one image have no other to be recognised by: {_numbers(single)}"
            _add(report, "warning", "single_image", f"{fold}/{split}", text)


def _numbers(identities: list[int], most: int = 10) -> str:
    shown = ", ".join(map(str, identities[:most]))
    return shown if len(identities) <= most else f"{shown} and {len(identities) - most} more"


def _add(report: Report, severity: Severity, kind: Kind, where: str, text: str, paths: Iterable[Path] = ()) -> None:
    relative = tuple(path.relative_to(report.folder).as_posix() for path in paths)
    report.findings.append(Finding(severity, kind, where, text, relative))
