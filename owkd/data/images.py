"""Images, decoded once: one memory-mapped array of uint8 a split, beside the data, and never stale.

Shapes: n images of a split, S image side in pixels.
"""

import glob
import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from owkd.checksums import as_bytes, crc32_of
from owkd.data.index import Split
from owkd.errors import DataError
from owkd.files import make_folder, move_into_place

CACHE_FOLDER = ".owkd-cache"
FORMAT_VERSION = 1  # part of the key: raise it when decoding changes
CHUNK = 128  # images decoded before they are written
MOST_DAMAGED = 20  # damaged images that one error names
ABANDONED_AFTER = 24 * 3600  # seconds after which a temporary file belongs to a process that died


def load_images(split: Split, image_size: int, cache: Path | None = None) -> NDArray[np.uint8]:
    """Memory-mapped, read-only uint8 (n, S, S, 3) in the order of `split.paths`, decoded unless that was done before.

    The file is stored in `cache`, or in `.owkd-cache` in the data set's folder, or, when the data cannot be written to,
    in the user's cache folder. A changed file of the data set gives it another name; the outdated one is removed.
    It ends with a checksum; a damaged one is decoded again.

    Raises `DataError` when images are damaged (naming them) or there is no place to write to.
    """
    home = split.home or split.folder
    places = cache_places(split, cache)
    key = hashlib.sha256(f"{split.fingerprint} {image_size} {FORMAT_VERSION}".encode()).hexdigest()[:20]
    stem = "-".join((*split.folder.relative_to(home).parts, str(image_size)))
    shape = (len(split.paths), image_size, image_size, 3)
    for place in places:
        cached = _open(place / f"{stem}-{key}.npy", shape)
        if cached is not None:
            return cached
    files = [split.folder / path for path in split.paths]
    refusals = []
    for place in places:
        try:
            make_folder(place)
            descriptor, name = tempfile.mkstemp(prefix=f"{stem}-", suffix=".tmp", dir=place)
        except OSError as error:
            refusals.append(str(error))
            continue
        images = _write(descriptor, Path(name), place / f"{stem}-{key}.npy", files, image_size)
        _tidy(place, stem, key)
        return images
    raise DataError(
        f"decoded images must be written somewhere, but {'; '.join(refusals)}; set data.cache to a folder of yours"
    )


def cache_places(split: Split, cache: Path | None = None) -> list[Path]:
    """Folders for what is derived from a data set, the preferred one first; none is made by asking."""
    home = split.home or split.folder
    return [_shared(Path(cache), home)] if cache is not None else [home / CACHE_FOLDER, _shared(_user_cache(), home)]


def decode(path: Path, image_size: int) -> NDArray[np.uint8]:
    """One image file as uint8 (S, S, 3): to 8 bit, to RGB, then a bilinear resize. Alpha is dropped.

    16-bit images are divided by 256, not clipped. Raises whatever the decoder raises for a damaged file.
    """
    with Image.open(path) as image:
        return np.asarray(_to_rgb(image).resize((image_size, image_size), Image.Resampling.BILINEAR))


def unreadable_because(path: Path, error: Exception) -> str:
    """Why an image could not be decoded, in a few words and without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "an empty file" if path.stat().st_size == 0 else "not an image"
    return str(error) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("grey values must fit 16 bits")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("grey values must be whole numbers, but are floating point")
    # A palette with transparency would make Pillow warn at each conversion; alpha is dropped anyway.
    image.info.pop("transparency", None)
    return image.convert("RGB")


def _shared(folder: Path, home: Path) -> Path:
    """Where a data set's arrays are stored in a folder that several data sets share."""
    place = home.resolve()
    return folder / f"{place.name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "owkd"


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


def _write(descriptor: int, temporary: Path, target: Path, files: Sequence[Path], size: int) -> NDArray[np.uint8]:
    """Decodes into the temporary file, gives it its name, and maps it.

    It is mapped before it is renamed: another process, whose data set has changed, may remove it right after.
    """
    shape = (len(files), size, size, 3)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            # Written in order rather than through a mapping: a full disk is then an error and not a bus error.
            header = BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
            sink.write(header.getvalue())
            sink.write(as_bytes(_decode_into(sink, files, size, zlib.crc32(header.getvalue()))))
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


def _decode_into(sink: BinaryIO, files: Sequence[Path], size: int, checksum: int) -> int:
    """Writes the images after what has this checksum -> that of both. Raises `DataError` for damaged ones."""
    damaged: list[str] = []

    def attempt(path: Path) -> NDArray[np.uint8] | str:
        try:
            return decode(path, size)
        except Exception as error:  # a decoder that is fed damaged bytes may raise anything
            return f"{path}: {unreadable_because(path, error)}"

    with ThreadPoolExecutor(_workers()) as pool:
        for chunk in _chunks(files):
            for result in pool.map(attempt, chunk):
                if isinstance(result, str):
                    damaged.append(result)
                else:
                    sink.write(content := result.tobytes())
                    checksum = zlib.crc32(content, checksum)
            if len(damaged) >= MOST_DAMAGED:
                break
    if damaged:
        named = "\n".join(f"  - {line}" for line in damaged[:MOST_DAMAGED])
        count = str(len(damaged)) if len(damaged) < MOST_DAMAGED else f"{MOST_DAMAGED} or more"
        raise DataError(f"images must be readable, but {count} cannot be decoded; remove or replace:\n{named}")
    return checksum


def _chunks(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), CHUNK):
        yield files[start : start + CHUNK]


def _workers() -> int:
    return min(16, len(os.sched_getaffinity(0)) + 1)


def _tidy(place: Path, stem: str, key: str) -> None:
    """Removes outdated arrays of the same split and size, and what a killed process left behind."""
    for path in place.glob(f"{glob.escape(stem)}-*"):
        outdated = path.suffix == ".npy" and path.name != f"{stem}-{key}.npy"
        try:
            if outdated or (path.suffix == ".tmp" and time.time() - path.stat().st_mtime > ABANDONED_AFTER):
                path.unlink()
        except OSError:
            continue  # another process tidied first
