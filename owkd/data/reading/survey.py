"""What the files of a split are, by their headers, and the window of their grey values: found once, then remembered.

<cache>/<split>-survey-<data>.json    how many files are of which kind
<cache>/<split>-window-<data>.json    the window that `data.window: auto` stands for
"""

import glob
import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from owkd.config import DataConfig
from owkd.data.index import Split
from owkd.data.reading.picture import EXTRAS, Header, deep_values, read_header
from owkd.data.reading.places import cache_places, stem_of
from owkd.data.reading.remarks import decoding, kept_remarks
from owkd.data.reading.window import Values, Window, found_window, normal, sampled
from owkd.files import written_whole

FORMAT_VERSION = 1  # part of the files' names: raise it when a header is read otherwise, or a window found otherwise

_found: dict[str, Any] = {}
"""by this process, by the names of the files that are to hold it"""

FileT = TypeVar("FileT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Survey:
    """How many files of a split are of which kind.

    Attributes:
        deep: more than 8 bits
        turned: stored in another orientation than they are to be seen in
        extras: by kind of `owkd.data.reading.picture.EXTRAS`
    """

    deep: int
    turned: int
    extras: dict[str, int]


def survey(split: Split, cache: Path | None = None) -> Survey:
    """Reads the header of every file. Damaged ones are passed over, as decoding names them. Raises `DataError`."""

    def look() -> dict[str, Any]:
        with kept_remarks():
            headers = list(in_threads(_header, split.files))
        extras = Counter(header.extra for header in headers if header and header.extra)
        return asdict(
            Survey(
                deep=sum(header.deep for header in headers if header),
                turned=sum(header.turned for header in headers if header),
                extras={kind: extras[kind] for kind in EXTRAS if extras[kind]},
            )
        )

    return Survey(**_found_before(split, cache, "survey", look))


def window_for(train: Split, data: DataConfig) -> Window:
    """The window that `data.window` stands for on a training split; None where its images have 8 bits alone.

    Raises `DataError` where there is none to be found.
    """
    if not survey(train, data.cache).deep:
        return None
    if data.window != "auto":
        return normal(data.window)

    low, high = _found_before(train, data.cache, "window", lambda: auto_window(train.files))
    return low, high


def auto_window(files: Sequence[Path]) -> tuple[float, float] | None:
    """Robust percentiles of the grey values of all images of more than 8 bits together; None where there is none.

    Raises `DataError` where they show a single value.
    """
    with kept_remarks():
        samples = list(in_threads(lambda path: _sample(path, len(files)), files))
    deep = [values for values in samples if values is not None]
    return found_window(deep) if deep else None


def pixel_fingerprint(split: Split, window: Window, cache: Path | None = None) -> str:
    """Hex digest of what the pixels of a split depend on but for their size; the split's own for upright 8-bit images.

    So it is what versions that knew neither windows nor orientations took.
    """
    turned = " upright" if survey(split, cache).turned else ""
    if window is None and not turned:
        return split.fingerprint
    return hashlib.sha256(f"{split.fingerprint} {window}{turned}".encode()).hexdigest()


def in_threads(function: Callable[[FileT], ResultT], files: Sequence[FileT]) -> Iterator[ResultT]:
    """Of each file, in order."""
    with ThreadPoolExecutor(min(16, len(os.sched_getaffinity(0)) + 1)) as pool:
        yield from pool.map(function, files)


def _header(path: Path) -> Header | None:
    try:
        with decoding(path):
            return read_header(path)
    except Exception:  # a decoder that is fed damaged bytes may raise anything
        return None


def _sample(path: Path, num_images: int) -> Values | None:
    try:
        with decoding(path):
            values = deep_values(path)
    except Exception:  # as above
        return None
    return None if values is None else sampled(values, num_images)


def remember(split: Split, place: Path) -> None:
    """Stores in a folder what this process found of a split, once its images are there: damaged ones leave nothing."""
    for kind in ("survey", "window"):
        path = _note(split, kind, place)
        if path.name in _found and not _is_whole(path):
            with suppress(OSError):
                text = json.dumps(_found[path.name])
                with written_whole(path) as temporary:
                    temporary.write_text(f"{text}\n{zlib.crc32(text.encode()):08x}\n", encoding="utf-8")
                for outdated in place.glob(f"{glob.escape(f'{stem_of(split)}-{kind}')}-*.json"):
                    if outdated != path:
                        outdated.unlink(missing_ok=True)


def _found_before(split: Split, cache: Path | None, kind: str, find: Callable[[], Any]) -> Any:
    """A plain value that depends on the files alone: as it was stored, or found once in this process."""
    places = cache_places(split, cache)
    for place in places:
        with suppress(OSError, ValueError):
            return _read(_note(split, kind, place))
    name = _note(split, kind, places[0]).name
    if name not in _found:
        _found[name] = find()
    return _found[name]


def _note(split: Split, kind: str, place: Path) -> Path:
    key = hashlib.sha256(f"{split.fingerprint} {FORMAT_VERSION}".encode()).hexdigest()[:20]
    return place / f"{stem_of(split)}-{kind}-{key}.json"


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except (OSError, ValueError):
        return False
    return True


def _read(path: Path) -> Any:
    """Raises `OSError` or `ValueError` where the file is not there, or not what was written."""
    text, checksum, *_ = [*path.read_text(encoding="utf-8").split("\n"), ""]
    if checksum != f"{zlib.crc32(text.encode()):08x}":
        raise ValueError("damaged")
    return json.loads(text)
