"""A disk whose power fails: what was not synced may be gone, be there in part, or be there.

Stands between a process and a folder. A file keeps what it held when it was synced last; a folder keeps the names that
it held when it was synced last, so that a file may be back under its old name, or be there and empty, as file systems
do it. What was there when the process began is on the disk.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import stat
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """What a name in a folder stands for: an inode, or where a link leads."""

    inode: int
    kind: int
    link: str = ""


class Disk:
    """Follows what a process syncs below a folder, from now on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[int, dict[str, Entry]] = {}
        self._contents: dict[int, bytes] = {}
        self._held: dict[int, int] = {}
        """by inode, a handle that keeps its number from being given to another file"""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        root.mkdir(exist_ok=True)
        for path in (root, *root.rglob("*")):
            if not path.is_symlink():
                self._keep(path)
        os.fsync = os.fdatasync = self._synced  # type: ignore[assignment]  # nobody here syncs but by number

    def fail(self, rng: random.Random | None) -> None:
        """Leaves what the disk holds; `rng` draws what of the rest is there as well, nothing where it is None."""
        after = self.root.with_name(f"{self.root.name}-after")
        self._restore(after, self.root.stat().st_ino, self.root, rng)
        shutil.rmtree(self.root)
        after.rename(self.root)

    def _synced(self, handle: int) -> None:
        self._keep(Path(f"/proc/self/fd/{handle}"))

    def _keep(self, path: Path) -> None:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = _listing(path)
        else:
            self._contents[status.st_ino] = path.read_bytes()
        if status.st_ino not in self._held:
            self._held[status.st_ino] = os.open(path, os.O_RDONLY)

    def _restore(self, to: Path, inode: int, now: Path | None, rng: random.Random | None) -> None:
        """A folder as it comes back; `now` is where it is, if it still is."""
        to.mkdir()
        current = {} if now is None else _listing(now)
        names = current if now is not None and rng is not None and rng.random() < 0.5 else self._names.get(inode, {})
        for name, entry in names.items():
            here = now / name if now is not None and current.get(name) == entry else None
            if stat.S_ISDIR(entry.kind):
                self._restore(to / name, entry.inode, here, rng)
            elif stat.S_ISLNK(entry.kind):
                (to / name).symlink_to(entry.link)
            else:
                (to / name).write_bytes(self._content(entry.inode, here, rng))

    def _content(self, inode: int, here: Path | None, rng: random.Random | None) -> bytes:
        kept = self._contents.get(inode, b"")
        if here is None or rng is None:
            return kept
        now = here.read_bytes()
        torn = now[: rng.randint(len(kept), len(now))] if now.startswith(kept) else kept
        return rng.choice((kept, torn, now))


def _listing(folder: Path) -> dict[str, Entry]:
    entries = {}
    for path in folder.iterdir():
        status = path.lstat()
        link = str(path.readlink()) if stat.S_ISLNK(status.st_mode) else ""
        entries[path.name] = Entry(status.st_ino, stat.S_IFMT(status.st_mode), link)
    return entries
