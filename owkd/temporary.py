"""Temporary folders that carry a mark of ours, so that what a killed process left can be told from what is another's.

The mark is a small file that the folder's maker keeps locked. The kernel lets go of a lock when its process ends,
however that ends: a mark that nobody holds is that of a dead process. A name proves nothing, so a folder without a mark
is never touched, whatever it is called.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from owkd.files import sync_folder

MARK = "owkd-temporary.json"
NAMELESS = f"{MARK}.new"
MADE_BY = "owkd"


@contextmanager
def marked_folder(place: Path, prefix: str) -> Iterator[Path]:
    """An empty folder below `place`, for this user alone, removed at the end; leftovers of this kind go first.

    It holds the mark, and is named `prefix`, this process, and what `mkdtemp` adds. Raises `OSError` where there cannot
    be one.
    """
    remove_leftovers(place, prefix)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=place))
    with marked(folder):
        try:
            yield folder
        finally:
            _remove(folder)


@contextmanager
def marked(folder: Path) -> Iterator[None]:
    """Marks a folder that this process has made for as long as the block lasts. Raises `OSError`."""
    handle = _write_mark(folder)
    try:
        yield
    finally:
        unmark(folder)
        os.close(handle)


def unmark(folder: Path) -> None:
    """The folder is no temporary one any more; also where it has been renamed since it was marked."""
    with suppress(OSError):
        (folder / MARK).unlink(missing_ok=True)


def remove_leftovers(place: Path, prefix: str) -> None:
    """Removes the folders of this kind whose makers are dead: those that carry a mark that nobody holds."""
    for folder in place.glob(f"{glob.escape(prefix)}*"):
        handle = _take_mark(folder)
        if handle is not None:
            try:
                _remove(folder)
            finally:
                os.close(handle)


def remove_unbegun(place: Path, prefix: str) -> None:
    """Removes folders of this kind in which nothing was begun: they hold a mark, whole or not, and nothing else.

    That is what a power failure leaves of them. An empty one stays, for it might be anybody's. Only for callers who
    need not fear that a maker lives: it would fail.
    """
    for folder in place.glob(f"{glob.escape(prefix)}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        held = list(folder.iterdir())
        if held and {path.name for path in held} <= {MARK, NAMELESS}:
            with suppress(OSError):
                for path in held:
                    path.unlink()
                folder.rmdir()


def _write_mark(folder: Path) -> int:
    """Locked before it has its name: no sweep ever sees it free while its maker lives. Returns what holds the lock.

    It is on the disk before anything else goes into the folder.
    """
    nameless = folder / NAMELESS
    handle = os.open(nameless, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    os.write(handle, json.dumps({**_ours(), "pid": os.getpid()}).encode())
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.fsync(handle)
    nameless.replace(folder / MARK)
    sync_folder(folder)
    return handle


def _take_mark(folder: Path) -> int | None:
    """Locks the mark of a leftover; None where there is none of ours, or its maker lives."""
    if folder.is_symlink():
        return None
    try:
        handle = os.open(folder / MARK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mark = json.loads(os.read(handle, 1000))
        if mark.items() >= _ours().items() and os.fstat(handle).st_uid == os.geteuid():
            return handle
    except (OSError, ValueError, AttributeError):
        pass
    os.close(handle)
    return None


def _ours() -> dict[str, str]:
    """Locks may not reach from one machine to another: what another one has made is left to it."""
    return {"made by": MADE_BY, "on": socket.gethostname()}


def _remove(folder: Path) -> None:
    """The mark goes last: what is left of a removal that was cut short can still be told as ours."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name == MARK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        (folder / MARK).unlink(missing_ok=True)
        folder.rmdir()
