"""The published folder layout, read into a typed index: `<root>/<dataset>/<fold>/<split>/allcam/<identity>/<image>`."""

import difflib
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from owkd.errors import DataError

SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
ALL_CAMERAS = "allcam"
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".webp"})

_CAMERA_FOLDER = re.compile(r"(?:camera|cam)[_\- ]?(\d{1,9})", re.ASCII | re.IGNORECASE)
_CAMERA_IN_NAME = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        r"(?:^|[_\-. ])(?:(?:camera|cam)[_\- ]?|c)(\d{1,9})(?=s\d|[_\-. ]|$)",  # cam3_1, camera_3_1, 0001_c3s1_00
        r"^\d{4}c(\d{1,3})t\d{4}f\d{3,}$",  # MARS: 0001C3T0001F001
        r"^\d{4}_\d{3}_(\d{2})_\d{4}(?:morning|noon|afternoon)_",  # MSMT17: 0000_001_03_0303morning_0036_2
        r"^[1-5]_\d{3}_([12])_\d{2}$",  # CUHK03: camera pair, person, camera of the pair, image
    )
)


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split of one fold.

    Attributes:
        paths: relative to `folder`, with forward slashes, sorted
        identities: (n,) identity numbers, as the folders are named
        cameras: (n,) camera numbers; None unless every image carries one, in its name or in the folder above the
            identity
        home: folder that may hold the cache of decoded images; `folder` itself when unset
    """

    folder: Path
    paths: tuple[str, ...]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64] | None = None
    home: Path | None = None

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(n,) classes 0..K-1, in ascending order of the identity numbers."""
        return np.unique(self.identities, return_inverse=True)[1].astype(np.int64)

    @property
    def files(self) -> tuple[Path, ...]:
        """`paths` in their folder."""
        return tuple(self.folder / path for path in self.paths)

    @property
    def num_identities(self) -> int:
        """K."""
        return len(np.unique(self.identities))

    def without(self, paths: Collection[str]) -> "Split":
        """The same split, some images left out."""
        kept = [position for position, path in enumerate(self.paths) if path not in paths]
        cameras = None if self.cameras is None else self.cameras[kept]
        return replace(
            self, paths=tuple(self.paths[i] for i in kept), identities=self.identities[kept], cameras=cameras
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of every file's relative path, size and time of change; the place of the data has no part in it.

        Raises `DataError` when a file has vanished.
        """
        digest = hashlib.sha256()
        for path in self.paths:
            try:
                status = (self.folder / path).stat()
            except OSError as error:
                raise DataError(
                    f"an image of the index must still be there, but {self.folder / path}: {error}"
                ) from error
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def read_split(root: Path, dataset: str, fold: str, split: SplitName) -> Split:
    """Lists the images of one split. Other files and hidden ones are passed over.

    Raises `DataError` when a folder of the layout is missing, an identity folder is not a number, has no images or
    occurs twice, or there is no image at all.
    """
    home = _child(Path(root), dataset, "data set")
    folder = _child(_child(home, fold, "fold"), split, "split")
    paths: list[str] = []
    identities: list[int] = []
    for place in camera_folders(folder):
        for identity, directory in _identity_folders(place):
            images = list_images(directory)
            if not images:
                raise DataError(
                    f"every identity must have images ({', '.join(sorted(IMAGE_SUFFIXES))}), but {directory} has none; "
                    "remove the folder or fill it"
                )
            paths.extend(f"{place.name}/{directory.name}/{image.name}" for image in images)
            identities.extend([identity] * len(images))
    if not paths:
        raise DataError(f"a fold must have images, but {folder} has none; check data.root, data.dataset and data.folds")
    order = sorted(range(len(paths)), key=paths.__getitem__)
    listed = tuple(paths[i] for i in order)
    numbers = np.array(identities, dtype=np.int64)[order]
    return Split(folder, listed, numbers, _cameras(listed), home)


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted by name."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )


def folders_in(parent: Path) -> list[Path]:
    """The folders directly in a folder, sorted by name; hidden ones are passed over."""
    return sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def camera_folders(split: Path) -> list[Path]:
    """The folders of a split that hold identities: `allcam`, or else `cam1`, `cam2`, ... Raises `DataError`."""
    merged = split / ALL_CAMERAS
    if merged.is_dir():
        return [merged]
    single = sorted(entry for entry in folders_in(split) if _CAMERA_FOLDER.fullmatch(entry.name))
    if not single:
        raise DataError(
            f"a split must have a folder {ALL_CAMERAS!r}, but {split} holds {_shown(folders_in(split))}; "
            f"put the identity folders into {merged}"
        )
    return single


def identity_number(name: str) -> int | None:
    """The number that an identity folder is named by, or None."""
    return int(name) if re.fullmatch(r"[0-9]{1,18}", name) else None


def camera_number(path: str) -> int | None:
    """Camera of an image by its name, in the ways of the field's data sets, or else by its camera folder, or None."""
    parts = PurePosixPath(path)
    named = (pattern.search(parts.stem) for pattern in _CAMERA_IN_NAME)
    match = next(filter(None, (*named, *map(_CAMERA_FOLDER.fullmatch, parts.parts[:-1]))), None)
    return int(match.group(1)) if match else None


def _cameras(paths: Iterable[str]) -> NDArray[np.int64] | None:
    numbers = [camera_number(path) for path in paths]
    return None if None in numbers else np.array(numbers, dtype=np.int64)


def _identity_folders(place: Path) -> Iterator[tuple[int, Path]]:
    seen: dict[int, Path] = {}
    for directory in folders_in(place):
        identity = identity_number(directory.name)
        if identity is None:
            raise DataError(
                f"an identity folder must be named by a number, but got {directory.name!r} in {place}; "
                "rename or remove it"
            )
        if identity in seen:
            raise DataError(
                f"an identity must have one folder, but {place} holds {seen[identity].name!r} and {directory.name!r}; "
                "merge or rename them"
            )
        seen[identity] = directory
        yield identity, directory


def _shown(entries: Iterable[Path], most: int = 12) -> str:
    names = [entry.name for entry in entries]
    text = ", ".join(names[:most]) + (", ..." if len(names) > most else "")
    return text or "no folders"


def _child(parent: Path, name: str, kind: str) -> Path:
    """A folder of the layout that must exist."""
    if not parent.is_dir():
        raise DataError(
            f"data.root must be a folder, but got {parent}; give the folder that holds the data set's folder"
        )
    child = parent / name
    if child.is_dir():
        return child
    there = folders_in(parent)
    near = difflib.get_close_matches(name, [entry.name for entry in there], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "name one of these or put it there"
    raise DataError(f"the {kind} {name!r} must be in {parent}, but that holds {_shown(there)}; {hint}")
