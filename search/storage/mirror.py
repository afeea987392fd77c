"""The driver's working copy and the store kept alike: what the driver writes on its disk goes to the store.

A push takes what changed: first everything that is replaced whole, then files that grow, the study's journal last,
then removals. The journal is cut where it stood when the push began. So at every moment the store's tables know at
least what its journal knows, which is the order in which a driver writes them: a driver that starts from the store
alone finds nothing that the study took for done and that is missing elsewhere.

What workers write (`last.pt`, `best.safetensors`) goes from them to the store, never through a working copy. A run
within the run (`control/`) is treated like the run around it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from owkd.errors import OwkdError
from owkd.files import written_whole
from search.storage import fence, lease
from search.storage.address import Address
from search.storage.object_store import ObjectStore, Stat
from search.storage.timings import STORE_TIMINGS, StoreTimings

JOURNAL = "study.journal"
GROWING = "tensorboard/"
"""below it, and the journal: files that are appended to"""
INDEX = ".mirror.json"
PRIVATE = (INDEX, lease.NAME, ".lock", f"{JOURNAL}.lock")
"""of the working copy alone"""
CONTROL = "control"
"""the folder of a run within the run"""
CHECKPOINTS = ("last.pt", "best.safetensors")
"""of the workers"""
OF_WORKERS = (*CHECKPOINTS, fence.NAME)
TRIES = 5
COARSE_NS = 2 * 10**9
"""two versions of a file may bear the same second"""


class Mirror:
    """One working copy, and the place that it stands for.

    Attributes:
        still: held while a queue records, so that nothing is scanned half-way
    """

    def __init__(self, address: Address, copy: Path, timings: StoreTimings = STORE_TIMINGS) -> None:
        self.address = address
        self.timings = timings
        self.copy = copy
        self.place = ObjectStore.at(address)
        self.still = threading.RLock()
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="owkd-mirror")
        self._removals: list[str] = []
        self._index: dict[str, Stat] = {}
        self._hold: lease.Hold | None = None

    def pull(self, *below: str) -> None:
        """Makes the working copy what the store is, or only some files and folders of it. Raises `OSError`."""
        for attempt in range(TRIES):
            try:
                self._pull(below)
                return
            except FileNotFoundError:  # its driver replaced a file while we read
                if attempt == TRIES - 1:
                    raise

    def fetch(self, path: str) -> bool:
        """Brings one file -> whether there is one."""
        try:
            self.place.download(path, self.copy / path)
        except FileNotFoundError:
            return False
        return True

    def address_of(self, path: Path) -> Address:
        """Where a path of the working copy lies in the store."""
        return self.address if path == self.copy else self.address / path.relative_to(self.copy)

    def remove_later(self, path: Path) -> None:
        """Removes what a path of the working copy stands for from the store, once what is on disk now has been pushed.

        A trial's state must not be gone before the store knows that the trial is over.
        """
        self._removals.append(path.relative_to(self.copy).as_posix())

    def push(self) -> None:
        """Brings the store up to date. Raises `OSError`, and `OwkdError` when another driver took over.

        A thread of its own sends: Ctrl-C ends the waiting, not an upload, which Arrow would end as if it were whole.
        """
        self._sender.submit(self._push).result()

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Holds the run, brings the older side up to date, and pushes every few seconds and at the end.

        Raises `UserError` when another driver is alive; `OwkdError` when the store cannot be reached at the end.
        """
        with lease.held(self.place, self.copy, str(self.address), self.timings) as hold:
            self._hold = hold
            self._settle(hold)
            lease.remember(self.copy, hold.lease)
            over = threading.Event()
            pusher = threading.Thread(target=self._push_until, args=(over,), daemon=True)
            pusher.start()
            try:
                yield
            finally:
                over.set()
                pusher.join()
                if hold.successor is None:
                    self._push_last()

    def _settle(self, hold: lease.Hold) -> None:
        """Who wrote last is right: this working copy, which may be ahead of the store, or the store."""
        last = lease.last_of(self.copy)
        if last is not None and last == (hold.before.driver if hold.before else lease.NEW):
            index = self._read_index()
            # What the store alone has was removed here since, but for what others put beside run.yaml, such as a
            # report; what has another size there is sent again.
            self._index = {
                path: index[path] if path in index and index[path].size == stat.size else Stat(-1, 0)
                for path, stat in self.place.files().items()
                if mirrored(path) and "/" in _within_its_run(path)
            }
        else:
            lease.forget(self.copy)  # until all of it is here, it is nobody's
            self.pull()
            self._index = self._scan()

    def _pull(self, below: tuple[str, ...]) -> None:
        there = {path: stat for path, stat in self.place.files().items() if mirrored(path) and _within(path, below)}
        newest = max((stat.mtime_ns for stat in there.values()), default=0)
        here = {path: stat for path, stat in self._scan().items() if _within(path, below)}
        for path, stat in there.items():
            if here.get(path) != stat or newest - stat.mtime_ns < COARSE_NS:
                self.place.download(path, self.copy / path)
                os.utime(self.copy / path, ns=(stat.mtime_ns, stat.mtime_ns))
        for path in here.keys() - there.keys():
            (self.copy / path).unlink(missing_ok=True)

    def _push(self) -> None:
        if self._hold is not None:
            self._hold.require()
        for attempt in range(TRIES):
            try:
                self._push_once()
                return
            except FileNotFoundError:  # replaced by another file while we sent it
                if attempt == TRIES - 1:
                    raise

    def _push_once(self) -> None:
        with self.still:
            now = self._scan()
            removals, self._removals = self._removals, []
        try:
            changed = [path for path, stat in now.items() if self._index.get(path) != stat]
            for path in sorted(changed, key=_rank):
                self._index[path] = self._send(path, now[path])
            for path in [path for path in self._index if path not in now]:
                self.place.remove(path)
                del self._index[path]
            while removals:
                self.place.remove(removals[0])
                removals.pop(0)
        finally:
            self._removals[:0] = removals
            self._write_index()

    def _send(self, path: str, stat: Stat) -> Stat:
        """Sends one file -> the version that was sent: of one that grows, what it was; of another, what it is."""
        with (self.copy / path).open("rb") as file:
            if not _grows(path):
                opened = os.fstat(file.fileno())
                stat = Stat(opened.st_size, opened.st_mtime_ns)
            self.place.upload(file, path, stat.size)
        return stat

    def _scan(self) -> dict[str, Stat]:
        """Every file of the driver's in the working copy."""
        stats = {}
        for folder, folders, names in os.walk(self.copy):
            folders[:] = [name for name in folders if name != ".ray"]
            for name in names:
                full = Path(folder, name)
                path = full.relative_to(self.copy).as_posix()
                if mirrored(path):
                    stat = full.stat()
                    stats[path] = Stat(stat.st_size, stat.st_mtime_ns)
        return stats

    def _push_until(self, over: threading.Event) -> None:
        while not over.wait(self.timings.push_s):
            try:
                self.push()
            except (OSError, OwkdError):  # raised by the next push that somebody waits for
                continue

    def _push_last(self) -> None:
        try:
            self.push()
        except OSError as error:
            raise OwkdError(
                f"{self.address} could not be reached ({error}); nothing is lost: {self.copy} holds what is missing "
                "there, and the next command on this run from this machine brings it"
            ) from error

    def _read_index(self) -> dict[str, Stat]:
        path = self.copy / INDEX
        raw = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {name: Stat(*values) for name, values in raw.items()}

    def _write_index(self) -> None:
        with written_whole(self.copy / INDEX) as temporary:
            plain = {path: [stat.size, stat.mtime_ns] for path, stat in self._index.items()}
            temporary.write_text(json.dumps(plain), encoding="utf-8")


def mirrored(path: str) -> bool:
    """Whether a file of a run goes through the driver's working copy."""
    path = _within_its_run(path)
    parts = path.split("/")
    if parts[0] in ("checkpoints", ".ray") or path in PRIVATE:
        return False
    return parts[-1] not in OF_WORKERS and not (parts[-1].startswith(".") and parts[-1].endswith(".tmp"))


def _within(path: str, below: tuple[str, ...]) -> bool:
    return not below or path in below or path.startswith(tuple(f"{folder}/" for folder in below))


def _within_its_run(path: str) -> str:
    """The path as the run has it that the file is of: the whole one, or the control within it."""
    return path.removeprefix(f"{CONTROL}/")


def _grows(path: str) -> bool:
    path = _within_its_run(path)
    return path == JOURNAL or path.startswith(GROWING)


def _rank(path: str) -> tuple[bool, bool]:
    """What is replaced whole first, the journal last."""
    return _within_its_run(path) == JOURNAL, _grows(path)
