"""Files that appear whole or not at all, and stay when the power fails."""

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from owkd.errors import UserError

MOST_LINKS = 40
"""that lead to one file, as in the kernel"""
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""what file systems say that know no syncing of folders"""

_permission: ContextVar[Callable[[], None] | None] = ContextVar("permission", default=None)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, which takes its place when the block ends without an error.

    Folders above are made. A reader sees the old file or the new one, never a part, and what was written stays when the
    power fails right after the block; an error leaves nothing behind. A link is written through; a device, a pipe or
    standard output gets the content and stays what it is. Raises `OSError`, with the name of a file.
    """
    try:
        with _whole(path) as temporary:
            yield temporary
    except OSError as error:
        if error.errno and error.filename is None:  # a full disk is told of an open file, which has no name
            error.filename = str(path)
        raise


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    place = place_of(path)
    if place is None:
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / path.name
            yield temporary
            with temporary.open("rb") as content, _opened(path) as sink:
                shutil.copyfileobj(content, sink)
        return
    make_folder(place.parent)
    temporary = place.with_name(f".{place.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        move_into_place(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)


def move_into_place(temporary: Path, place: Path) -> None:
    """Gives a file that was written on the same disk the name `place`; its content is there before its name is."""
    _sync(temporary)
    if (permitted := _permission.get()) is not None:
        permitted()
    temporary.replace(place)
    sync_folder(place.parent)


@contextmanager
def written_only_if(permitted: Callable[[], None]) -> Iterator[None]:
    """Within the block, `written_whole` calls `permitted` before a file gets its name; what that raises prevents it."""
    before = _permission.set(permitted)
    try:
        yield
    finally:
        _permission.reset(before)


def require_writable(path: Path, name: str = "--out") -> None:
    """Tries whether a file can be written at `path`, before the work that makes it. Nothing is left behind.

    Raises `UserError`, which calls the path `name`, where it is a folder, lies below a file or may not be written.
    """
    try:
        place = place_of(path)
        if place is not None and place.is_dir():
            raise UserError(f"{name} must name a file, but {path} is a folder; name a file in it")
        if (path if place is None else place).exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        if place is not None:
            _try_folder(place.parent)
    except OSError as error:
        raise UserError(
            f"{name} must be a place to write to, but {path} is not ({error.strerror}: {error.filename}); name another"
        ) from error


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, such that they are still there after the power failed. Raises `OSError`."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk: that of a file that was renamed or removed there. Raises `OSError`."""
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def sync_tree(folder: Path) -> None:
    """Brings all files below a folder, and their names, to the disk. Raises `OSError`."""
    for above, _, names in os.walk(folder):
        for name in names:
            _sync(Path(above, name))
        sync_folder(Path(above))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def place_of(path: Path) -> Path | None:
    """Where the links of `path` lead, which is there or not; None for a device, a pipe and the like, which are written
    into and not replaced. Raises `OSError`.
    """
    place = _followed(path)
    if not place.is_symlink() and not place.exists():
        return place
    mode = place.lstat().st_mode
    return place if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None


def _followed(path: Path) -> Path:
    """Where the links lead; those of open files (/dev/stdout -> /proc/self/fd/1) are ends."""
    for _ in range(MOST_LINKS):
        if not path.is_symlink() or path.parent.resolve().is_relative_to("/proc"):
            return path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _opened(path: Path) -> BinaryIO:
    """What is no regular file, to write into. One that this process has open is written where it is by now."""
    place = _followed(path)
    if place.parent.resolve() == Path(f"/proc/{os.getpid()}/fd"):
        return os.fdopen(os.dup(int(place.name)), "wb")
    return place.open("ab")


def _try_folder(folder: Path) -> None:
    """Raises `OSError` where no file can be made in a folder, or in the first of those above it that is there."""
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
