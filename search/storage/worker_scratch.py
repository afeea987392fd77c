"""Where a worker trains: in the run's own folder, or, where that is in a store, in a folder that follows it.

For a store: what is there is fetched at the start, and what an epoch wrote is sent before the epoch is reported. So
an epoch that was reported can be relied on, on any machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from owkd.temporary import marked_folder
from search.storage.address import Address
from search.storage.mirror import CHECKPOINTS
from search.storage.object_store import ObjectStore, retry_while_unavailable

PREFIX = "owkd-scratch-"


@dataclass
class WorkerScratch:
    """A local folder to train in.

    Attributes:
        place: what it follows; None for the run's own folder
    """

    folder: Path
    place: ObjectStore | None = None
    _sent: dict[str, int] = field(default_factory=dict)
    """time of change by file, nanoseconds"""

    def fetch(self) -> None:
        """Brings the checkpoints that are there. Raises `OSError`."""
        if self.place is None:
            return
        for name in CHECKPOINTS:
            if self.place.has(name):
                self.place.download(name, self.folder / name)
                self._sent[name] = (self.folder / name).stat().st_mtime_ns

    def save(self) -> None:
        """Sends what changed, in the order in which it was written: a state is never ahead of its best model.

        Raises `OSError` when the store stays away.
        """
        if self.place is None:
            return
        for path in sorted(self.folder.glob("*"), key=lambda path: path.stat().st_mtime_ns):
            changed = path.stat().st_mtime_ns
            if path.name in CHECKPOINTS and self._sent.get(path.name) != changed:
                retry_while_unavailable(lambda path=path: self._send(path))  # type: ignore[misc]  # bound to this turn's path
                self._sent[path.name] = changed

    def _send(self, path: Path) -> None:
        assert self.place is not None
        with path.open("rb") as file:
            self.place.upload(file, path.name, path.stat().st_size)


@contextmanager
def workplace(directory: str, below: PurePath) -> Iterator[WorkerScratch]:
    """The place of one training: `below` a job's directory, which is a path or a URI."""
    address = Address.of(directory) / Path(below)
    if not address.remote:
        yield WorkerScratch(address.path)
        return
    with scratch() as folder:
        place = WorkerScratch(folder, ObjectStore.at(address))
        retry_while_unavailable(place.fetch)
        yield place


@contextmanager
def local_copy(file: str) -> Iterator[Path]:
    """A file by path or URI, as a local file for as long as the block lasts."""
    address = Address.of(file)
    if not address.remote:
        yield address.path
        return
    with scratch() as folder:
        whole = ObjectStore.at(address)
        above = ObjectStore(whole.filesystem, whole.root.rpartition("/")[0])
        retry_while_unavailable(lambda: above.download(address.name, folder / address.name))
        yield folder / address.name


def scratch() -> AbstractContextManager[Path]:
    """An empty folder on this machine's disk, removed at the end; what killed workers left is removed at the start."""
    return marked_folder(Path(tempfile.gettempdir()), PREFIX)
