"""Images, decoded once: one memory-mapped array of uint8 a split, beside the data, and never stale.

Shapes: n images of a split, S image side in pixels.
"""

import glob
import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from owkd.checksums import as_bytes, crc32_of
from owkd.data.index import Split
from owkd.data.reading.picture import decode, unreadable_because
from owkd.data.reading.places import cache_places, stem_of
from owkd.data.reading.remarks import decoding, kept_remarks
from owkd.data.reading.survey import in_threads, pixel_fingerprint, remember
from owkd.data.reading.window import Window
from owkd.errors import DataError
from owkd.files import make_folder, move_into_place

FORMAT_VERSION = 1  # part of the key: raise it when decoding changes
CHUNK = 128  # images decoded before they are written
MOST_DAMAGED = 20  # damaged images that one error names
ABANDONED_AFTER = 24 * 3600  # seconds after which a temporary file belongs to a process that died


class UnreadableImagesError(DataError):
    """Images that cannot be decoded.

    Attributes:
        reasons: why, by path relative to the split's folder; `MOST_DAMAGED` or a few more, unless all were asked for
    """

    def __init__(self, reasons: Mapping[str, str], folder: Path, *, all_known: bool) -> None:
        self.reasons = dict(reasons)
        named = "\n".join(f"  - {folder / path}: {why}" for path, why in list(reasons.items())[:MOST_DAMAGED])
        many = len(reasons) >= MOST_DAMAGED and not all_known
        count = f"{MOST_DAMAGED} or more" if many else str(len(reasons))
        super().__init__(f"images must be readable, but {count} cannot be decoded; remove or replace:\n{named}")


def load_images(
    split: Split, image_size: int, cache: Path | None = None, window: Window = None, *, name_all: bool = False
) -> NDArray[np.uint8]:
    """Memory-mapped, read-only uint8 (n, S, S, 3) in the order of `split.paths`, decoded unless that was done before.

    Grey values of more than 8 bits are brought into `window`. The file is stored in `cache`, or in `.owkd-cache` in the
    data set's folder, or, when the data cannot be written to, in the user's cache folder. A changed file of the data
    set, or another window, gives it another name; the outdated one is removed. It ends with a checksum; a damaged one
    is decoded again.

    Raises `UnreadableImagesError` when some are damaged, naming the first of them or, with `name_all`, every one, and
    `DataError` when there is no place to write to.
    """
    places = cache_places(split, cache)
    pixels = pixel_fingerprint(split, window, cache)
    key = hashlib.sha256(f"{pixels} {image_size} {FORMAT_VERSION}".encode()).hexdigest()[:20]
    stem = f"{stem_of(split)}-{image_size}"
    shape = (len(split.paths), image_size, image_size, 3)
    for place in places:
        cached = _open(place / f"{stem}-{key}.npy", shape)
        if cached is not None:
            remember(split, place)
            return cached
    work = _Decoding(split, image_size, window, name_all)
    refusals = []
    for place in places:
        try:
            make_folder(place)
            descriptor, name = tempfile.mkstemp(prefix=f"{stem}-", suffix=".tmp", dir=place)
        except OSError as error:
            refusals.append(str(error))
            continue
        images = _write(descriptor, Path(name), place / f"{stem}-{key}.npy", work)
        _tidy(place, stem, key)
        remember(split, place)
        return images
    raise DataError(
        f"decoded images must be written somewhere, but {'; '.join(refusals)}; set data.cache to a folder of yours"
    )


def _open(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The array in a file, or None when it is not there, damaged, or not what it should be."""
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
        status = path.stat()
    except (OSError, ValueError, EOFError):
        return None
    if images.shape != shape or images.dtype != np.uint8:
        return None
    try:
        intact = _is_intact(path, images.offset + images.nbytes, status.st_size, status.st_mtime_ns)
    except OSError:  # another process tidied
        return None
    return images if intact else None


@lru_cache(maxsize=64)
def _is_intact(path: Path, content: int, size: int, changed: int) -> bool:
    """Whether the checksum behind the array is that of all before it; files of 0.1.0 have none."""
    if size == content:
        return True
    with path.open("rb") as file:
        return as_bytes(crc32_of(file, content)) == file.read()


@dataclass(frozen=True)
class _Decoding:
    """What is to be decoded, and how."""

    split: Split
    size: int
    window: Window
    name_all: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.split.paths), self.size, self.size, 3)

    def attempt(self, path: str) -> NDArray[np.uint8] | str:
        """The pixels (S, S, 3) of one image, or why there are none."""
        file = self.split.folder / path
        try:
            with decoding(file):
                return decode(file, self.size, self.window)
        except Exception as error:  # a decoder that is fed damaged bytes may raise anything
            return unreadable_because(file, error)


def _write(descriptor: int, temporary: Path, target: Path, work: _Decoding) -> NDArray[np.uint8]:
    """Decodes into the temporary file, gives it its name, and maps it.

    It is mapped before it is renamed: another process, whose data set has changed, may remove it right after.
    """
    shape = work.shape
    try:
        with os.fdopen(descriptor, "wb") as sink:
            # Written in order rather than through a mapping: a full disk is then an error and not a bus error.
            header = BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
            sink.write(header.getvalue())
            sink.write(as_bytes(_decode_into(sink, work, zlib.crc32(header.getvalue()))))
        temporary.chmod(0o644)
        images = _open(temporary, shape)
        if images is None:
            raise DataError(f"decoded images must be readable again, but {temporary} is not; check that disk")
        move_into_place(temporary, target)
    except OSError as error:
        raise DataError(
            f"decoded images must be written to {target.parent}, but {error}; set data.cache to a folder "
            f"with room for {np.prod(shape, dtype=np.int64) / 1e6:.0f} MB"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return images


def _decode_into(sink: BinaryIO, work: _Decoding, checksum: int) -> int:
    """Writes the images after what has this checksum -> that of both. Raises `UnreadableImagesError`."""
    damaged: dict[str, str] = {}
    with kept_remarks():
        for chunk in _chunks(work.split.paths):
            for path, result in zip(chunk, in_threads(work.attempt, chunk), strict=True):
                if isinstance(result, str):
                    damaged[path] = result
                else:
                    sink.write(content := result.tobytes())
                    checksum = zlib.crc32(content, checksum)
            if len(damaged) >= MOST_DAMAGED and not work.name_all:
                break
    if damaged:
        raise UnreadableImagesError(damaged, work.split.folder, all_known=work.name_all)
    return checksum


def _chunks(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), CHUNK):
        yield paths[start : start + CHUNK]


def _tidy(place: Path, stem: str, key: str) -> None:
    """Removes outdated arrays of the same split and size, and what a killed process left behind."""
    for path in place.glob(f"{glob.escape(stem)}-*"):
        outdated = path.suffix == ".npy" and path.name != f"{stem}-{key}.npy"
        try:
            if outdated or (path.suffix == ".tmp" and time.time() - path.stat().st_mtime > ABANDONED_AFTER):
                path.unlink()
        except OSError:
            continue  # another process tidied first
