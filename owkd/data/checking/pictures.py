"""The images of a fold, decoded as training decodes them: which are damaged, empty, or there twice.

Shapes: H x W of a file.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from owkd.data.checking.report import Item, Kind, Report
from owkd.data.index import SPLITS
from owkd.data.reading.picture import EXTRAS, Header, decode_whole, deep_values, read_header, unreadable_because
from owkd.data.reading.remarks import decoding, kept_remarks
from owkd.data.reading.survey import in_threads
from owkd.data.reading.window import Window, window_in_words

ValueT = TypeVar("ValueT")

FEWEST_LEVELS = 16
"""grey levels that an image shows at least, and that lie between its darkest and its brightest"""
BINARY_LEVELS = 2
"""of a drawing or a silhouette"""


@dataclass(frozen=True)
class Content:
    """What an image file holds, as training would see it at the file's own size; or why it cannot be read.

    Attributes:
        digest: of its pixels
        levels: how many different grey levels it shows
        darkest, brightest: of them, 0 to 255
        own: smallest and largest grey value in the file, of an image of more than 8 bits with too few levels
        remarks: what Pillow has to say of the file
    """

    problem: str = ""
    header: Header | None = None
    digest: str = ""
    levels: int = 0
    darkest: int = 0
    brightest: int = 0
    own: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def has_contrast(self) -> bool:
        """Whether its darkest and its brightest grey level are apart."""
        return self.brightest - self.darkest >= FEWEST_LEVELS

    def is_poor(self, binary: bool) -> bool:
        """Whether next to nothing is to be seen: little contrast; few levels where there is room for thousands; or two,
        where images are not `binary` on purpose."""
        if self.levels <= BINARY_LEVELS:
            return not (binary and self.has_contrast)
        deep = self.header is not None and self.header.deep
        return not self.has_contrast or (deep and self.levels < FEWEST_LEVELS)

    @property
    def is_drawn(self) -> bool:
        """Whether it has contrast, and levels few enough for a drawing of several grey values in 8 bits."""
        return BINARY_LEVELS < self.levels < FEWEST_LEVELS and not self.is_poor(binary=True)


def read_contents(paths: Iterable[Path], window: Window) -> dict[Path, Content]:
    """Decodes every file, and one that has several names (hard links) once."""
    by_file: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for path in paths:
        status = path.stat()
        by_file[status.st_dev, status.st_ino].append(path)
    groups = list(by_file.values())
    with kept_remarks() as remarks:
        results = list(in_threads(lambda path: _read(path, window), [group[0] for group in groups]))
    contents: dict[Path, Content] = {}
    for group, content in zip(groups, results, strict=True):
        said = tuple(sorted(remarks.get(group[0], ())))
        contents |= dict.fromkeys(group, replace(content, remarks=said))
    return contents


def check_pictures(
    report: Report, fold: str, items: Sequence[Item], contents: Mapping[Path, Content], window: Window, binary: bool
) -> None:
    """Notes what is wrong with the images of a fold; `binary`: they are meant to have two grey levels."""
    for split in SPLITS:
        where = f"{fold}/{split}"
        own = {item.path: contents[item.path] for item in items if item.split == split}
        readable = {path: content for path, content in own.items() if not content.problem}
        _note_damaged(report, where, own)
        _note_empty(report, where, readable, window, binary)
        _note_files(report, where, readable)
    same: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if contents[item.path].levels > 1:
            same[contents[item.path].digest].append(item)
    for group in same.values():
        if len(group) > 1:
            _add_copies(report, fold, group)


def _read(path: Path, window: Window) -> Content:
    try:
        with decoding(path):
            header = read_header(path)
            image = decode_whole(path, window)
    except Exception as error:  # a decoder that is fed damaged bytes may raise anything
        return Content(problem=unreadable_because(path, error))
    pixels = np.asarray(image)
    digest = hashlib.blake2b(str(pixels.shape).encode())
    digest.update(pixels.tobytes())
    shown = np.flatnonzero(image.convert("L").histogram())
    if pixels.min() != pixels.max() and len(shown) == 1:
        shown = np.unique(pixels)  # colours of one brightness
    content = Content("", header, digest.hexdigest(), len(shown), int(shown[0]), int(shown[-1]))
    if content.is_poor(binary=False) and (values := deep_values(path)) is not None:
        finite = values[np.isfinite(values)]
        if len(finite):
            return replace(content, own=(float(finite.min()), float(finite.max())))
    return content


def _note_damaged(report: Report, where: str, contents: Mapping[Path, Content]) -> None:
    for problem, paths in _grouped(contents, lambda content: [content.problem] if content.problem else []).items():
        text = f"an image must be readable, but is not: {problem}; remove or replace it"
        if len(paths) > 1:
            text = f"images must be readable, but {len(paths)} are not: {problem}; remove or replace them"
        report.add("fatal", "damaged_image", where, text, paths)


def _note_empty(report: Report, where: str, contents: Mapping[Path, Content], window: Window, binary: bool) -> None:
    poor = {path: content for path, content in contents.items() if content.is_poor(binary)}
    if 2 * len(poor) > len(contents):
        report.add("fatal", "too_few_levels", where, _why_poor(poor, len(contents), window), poor)
        return
    for path, content in poor.items():
        if content.levels == 1:
            report.add("warning", "blank_image", where, "an image shows one grey value everywhere", [path])
    if few := [path for path, content in poor.items() if content.levels > 1]:
        text = f"images with fewer than {FEWEST_LEVELS} grey levels, or as little contrast, show next to nothing"
        report.add("warning", "too_few_levels", where, text, few)
    if drawn := [path for path, content in contents.items() if content.is_drawn]:
        text = (
            f"{len(drawn)} of {len(contents)} images have contrast, but fewer than {FEWEST_LEVELS} grey levels, as "
            "drawings and silhouettes have; if a camera took them, export them anew"
        )
        report.add("warning", "too_few_levels", where, text, drawn)


def _why_poor(poor: Mapping[Path, Content], of: int, window: Window) -> str:
    richest = max(poor.values(), key=lambda content: content.levels)
    levels = "1 grey level" if richest.levels == 1 else f"{richest.levels} grey levels"
    dark = ", almost black" if richest.brightest < FEWEST_LEVELS else ""
    text = (
        f"images must show at least {FEWEST_LEVELS} grey levels of 256, as far apart, but {len(poor)} of {of} do not: "
        f"training would see {levels} at most, from {richest.darkest} to {richest.brightest}{dark}"
    )
    if richest.own is None:
        drawings = "; drawings and silhouettes are checked with --binary" if richest.has_contrast else ""
        return f"{text}; export them anew from what the camera recorded, stretched to 8 bits or in 16{drawings}"
    low, high = (f"{value:g}" for value in richest.own)
    return (
        f"{text}. Their own grey values go from {low} to {high}, and the window is {window_in_words(window)}; set "
        "data.window to auto, or to [low, high] around the values that people show"
    )


def _note_files(report: Report, where: str, contents: Mapping[Path, Content]) -> None:
    headers = {path: content.header for path, content in contents.items() if content.header}
    deep = [path for path, header in headers.items() if header.deep]
    if deep and len(deep) < len(headers):
        few = deep if 2 * len(deep) <= len(headers) else [path for path in headers if path not in set(deep)]
        text = f"images of 8 bits and of more are mixed, and only these ({len(deep)} of {len(headers)}) have a window"
        report.add("warning", "mixed_depths", where, text, few)
    if turned := [path for path, header in headers.items() if header.turned]:
        text = f"{_images(turned)} stored in another orientation than seen (EXIF), and read upright"
        report.add("warning", "turned_image", where, text, turned)
    by_extra = _grouped(headers, lambda header: [EXTRAS[header.extra]] if header.extra else [])
    by_remark = _grouped(contents, lambda content: content.remarks)
    notes: tuple[tuple[Kind, dict[str, list[Path]]], ...] = (("several_pictures", by_extra), ("remark", by_remark))
    for kind, found in notes:
        for words, paths in found.items():
            said = f"Pillow says of {len(paths)}: {words}" if kind == "remark" else f"{_images(paths)} {words}"
            report.add("warning", kind, where, said, paths)


def _grouped(found: Mapping[Path, ValueT], words: Callable[[ValueT], Sequence[str]]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, value in found.items():
        for word in words(value):
            groups[word].append(path)
    return groups


def _images(paths: Sequence[Path]) -> str:
    return "1 image is" if len(paths) == 1 else f"{len(paths)} images are"


def _add_copies(report: Report, fold: str, group: list[Item]) -> None:
    paths = [item.path for item in group]
    splits = [split for split in SPLITS if any(item.split == split for item in group)]
    if len(splits) > 1:
        text = f"an image must be in one split, but this one is in {' and '.join(splits)}; remove it from all but one"
        report.add("fatal", "image_in_two_splits", fold, text, paths)
    elif len({item.identity for item in group}) > 1:
        text = "an image must show one person, but this one is filed under several; find out who it is"
        report.add("fatal", "image_of_two_identities", f"{fold}/{splits[0]}", text, paths)
    else:
        text = "the same image is there several times, which makes recognition look easier"
        report.add("warning", "image_twice", f"{fold}/{splits[0]}", text, paths)
