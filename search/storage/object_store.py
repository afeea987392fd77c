"""Files below an address, in any store that pyarrow.fs knows: list, read, write, remove.

An object store has no rename and needs none: an object appears whole when its upload ends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

from owkd.errors import UserError
from owkd.files import written_whole
from search.storage.address import Address
from search.storage.timings import STORE_TIMINGS, StoreTimings

LIMITS: dict[str, dict[str, Any]] = {
    "S3FileSystem": {"connect_timeout": 5.0, "request_timeout": 10.0},  # seconds, for each of three attempts
    "GcsFileSystem": {"retry_time_limit": timedelta(seconds=30)},
}
"""how long a store is waited for, by kind"""
BLOCK = 8 * 2**20
"""bytes that are held at a time"""
PASSING = re.compile(r"NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|HTTP status 5\d\d")
"""what Arrow says of troubles that may pass by themselves"""
TRIES = 10
"""at a file that changes while it is read"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Stat:
    """What distinguishes one version of a file from the next.

    Attributes:
        size: bytes
        mtime_ns: by the store's clock; some stores count whole seconds
    """

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class ObjectStore:
    """A folder in a store; paths are relative to it, with slashes. What fails raises `OSError`."""

    filesystem: FileSystem
    root: str

    @classmethod
    def at(cls, address: Address) -> ObjectStore:
        """The place of an address. Raises `UserError` where there is no such store."""
        if not address.remote:
            return cls(LocalFileSystem(), str(address.path.absolute()))
        return _connected(address.text)

    def files(self, below: str = "") -> dict[str, Stat]:
        """Every file below a folder, by its path from this place; nothing where there is no folder."""
        selector = FileSelector(self._full(below), recursive=True, allow_not_found=True)
        return {
            self._below(info.path): Stat(info.size, info.mtime_ns)
            for info in self.filesystem.get_file_info(selector)
            if info.type == FileType.File
        }

    def folders(self, below: str) -> list[str]:
        """Folders right below a folder, by their paths from this place."""
        selector = FileSelector(self._full(below), recursive=False, allow_not_found=True)
        entries = self.filesystem.get_file_info(selector)
        return [self._below(info.path) for info in entries if info.type == FileType.Directory]

    def has(self, path: str) -> bool:
        """Whether there is a file."""
        return bool(self.filesystem.get_file_info(self._full(path)).type == FileType.File)

    def read(self, path: str) -> bytes | None:
        """All bytes of a small file; None where there is none."""

        def read() -> bytes:
            with self.filesystem.open_input_stream(self._full(path)) as stream:
                return bytes(stream.read())

        try:
            return self._steadily(path, read)
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes) -> None:
        """A small file, in place of the one that is there."""
        with self.filesystem.open_output_stream(self._full(path)) as stream:
            stream.write(content)

    def upload(self, file: BinaryIO, path: str, size: int) -> None:
        """The next `size` bytes of an open file."""
        with self.filesystem.open_output_stream(self._full(path)) as stream:
            while size > 0 and (block := file.read(min(size, BLOCK))):
                stream.write(block)
                size -= len(block)

    def download(self, path: str, to: Path) -> None:
        """A file to the local disk, whole. Raises `FileNotFoundError`."""

        def copy(temporary: Path) -> None:
            with self.filesystem.open_input_stream(self._full(path)) as stream, temporary.open("wb") as file:
                while block := stream.read(BLOCK):
                    file.write(block)

        with written_whole(to) as temporary:
            self._steadily(path, lambda: copy(temporary))

    def remove(self, path: str) -> None:
        """A file, or a folder with all that is in it; nothing where there is neither."""
        kind = self.filesystem.get_file_info(self._full(path)).type
        with suppress(FileNotFoundError):
            if kind == FileType.File:
                self.filesystem.delete_file(self._full(path))
            elif kind == FileType.Directory:
                self.filesystem.delete_dir(self._full(path))

    def _steadily(self, path: str, read: Callable[[], Result]) -> Result:
        """Reads again when a file was replaced meanwhile: Arrow asks for its size first, and trusts that it stays."""
        for _ in range(TRIES):
            before = self.filesystem.get_file_info(self._full(path))
            result = read()
            now = self.filesystem.get_file_info(self._full(path))
            if (before.size, before.mtime_ns) == (now.size, now.mtime_ns):
                return result
        raise OSError(f"{path} was replaced again and again while it was read")

    def _below(self, path: str) -> str:
        return path.removeprefix(self.root).lstrip("/")

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root


def retry_while_unavailable(action: Callable[[], Result], timings: StoreTimings = STORE_TIMINGS) -> Result:
    """Does something again while the store cannot be reached, for `patience_s` at most. Raises `OSError`."""
    deadline = time.monotonic() + timings.patience_s
    while True:
        try:
            return action()
        except OSError as error:
            if not PASSING.search(str(error)) or time.monotonic() > deadline:
                raise
        time.sleep(timings.retry_s)


@lru_cache(maxsize=64)
def _connected(text: str) -> ObjectStore:
    try:
        filesystem, path = FileSystem.from_uri(text)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(
            f"an address must be a path or a URI that pyarrow.fs understands, such as s3://bucket/runs, but got "
            f"{text}: {error}; mend it"
        ) from error
    return ObjectStore(_limited(filesystem), path.rstrip("/"))


def _limited(filesystem: FileSystem) -> FileSystem:
    """The same store, but one that gives an endpoint up which does not answer: after half a minute instead of minutes.

    By its address alone, S3 is tried thirty times and Google's store for a quarter of an hour. Whoever may wait longer
    calls `retry_while_unavailable`.
    """
    kind = type(filesystem).__name__
    if kind not in LIMITS:
        return filesystem
    _, (options,) = filesystem.__reduce__()
    return type(filesystem)(**{**options, **LIMITS[kind]})
