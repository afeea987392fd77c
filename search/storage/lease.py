"""One driver at a time, also where no kernel sees both: a small object that its holder writes again and again.

pyarrow.fs knows no compare-and-swap. So a driver writes its lease, waits, and looks whether it still stands there: of
two that begin in the same moment, the later writer stays. A lease that is silent for `lease_s` may be taken over; its
former holder, should it wake up again, sees the other's name at its next beat and ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from owkd.errors import OwkdError, UserError
from owkd.files import written_whole
from search.storage.object_store import ObjectStore, retry_while_unavailable
from search.storage.timings import STORE_TIMINGS, StoreTimings

NAME = ".driver.json"
NEW = "new"
"""stands for a driver in the working copy of a run that nobody drove yet"""


@dataclass(frozen=True)
class Lease:
    """Who drives a run.

    Attributes:
        driver: names one driver's stay: what it wrote last is distinguished from what others wrote after it
        beat: seconds since the Unix epoch, of the last sign of life
    """

    driver: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    beat: float = field(default_factory=time.time)
    ended: bool = False

    def is_alive(self, timings: StoreTimings) -> bool:
        """Whether its holder gave a sign of life lately, by this machine's clock."""
        return not self.ended and time.time() - self.beat < timings.lease_s

    def describe(self) -> str:
        """For people."""
        ago = max(0.0, time.time() - self.beat)
        return f"process {self.pid} on {self.host} since {self.since} (last sign of life {ago:.0f} s ago)"


def read_lease(place: ObjectStore) -> Lease | None:
    """The lease in a store; None where nobody ever drove."""
    return _parse(place.read(NAME))


def last_of(copy: Path) -> str | None:
    """The driver whose work a working copy holds; None where it holds no driver's whole work."""
    path = copy / NAME
    lease = _parse(path.read_bytes() if path.is_file() else None)
    return None if lease is None else lease.driver


def remember(copy: Path, lease: Lease) -> None:
    """Marks a working copy as the one that `lease` writes: from now on it is ahead of the store, never behind."""
    with written_whole(copy / NAME) as temporary:
        temporary.write_text(json.dumps(asdict(lease)), encoding="utf-8")


def forget(copy: Path) -> None:
    """Takes the mark away, before a working copy is made anew."""
    (copy / NAME).unlink(missing_ok=True)


@contextmanager
def held(place: ObjectStore, copy: Path, what: str, timings: StoreTimings = STORE_TIMINGS) -> Iterator[Hold]:
    """Drives the run `what` for as long as the block lasts, with signs of life from another thread.

    A silent predecessor is waited for, up to `lease_s`; the one whose work lies in `copy` is known to be gone.
    Raises `UserError` when another driver is alive, and `OwkdError` when one took over meanwhile.
    """
    before = retry_while_unavailable(lambda: read_lease(place), timings)
    if before is not None and not before.ended and before.driver != last_of(copy):
        _outwait(place, before, what, timings)
    hold = Hold(place, Lease(), before, what, timings)
    retry_while_unavailable(hold.write, timings)
    time.sleep(timings.settle_s)
    hold.require()
    hold.start()
    try:
        yield hold
    except KeyboardInterrupt:
        if hold.successor is None:
            raise
    finally:
        hold.stop()
    hold.require()


class Hold(threading.Thread):
    """A lease that is kept alive, until it is stopped or somebody else's name stands in the store."""

    def __init__(
        self,
        place: ObjectStore,
        lease: Lease,
        before: Lease | None,
        what: str,
        timings: StoreTimings = STORE_TIMINGS,
    ) -> None:
        super().__init__(name="owkd-lease", daemon=True)
        self.lease = lease
        self.before = before
        self.successor: Lease | None = None
        self._place = place
        self._what = what
        self._timings = timings
        self._over = threading.Event()
        self._seen = 0.0

    def run(self) -> None:
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        while not self._over.wait(self._timings.beat_s):
            try:
                self._look()
                if self.successor is not None:
                    # Ends the search as Ctrl-C does. To that thread: one that waits is not woken by what another gets.
                    signal.pthread_kill(main_thread, signal.SIGINT)
                    return
                self.write()
            except OSError:  # the store is away; whether the lease outlived that is seen at the next beat
                continue

    def require(self) -> None:
        """Raises `OwkdError` when another driver took over; whoever writes to the store asks first.

        A machine that slept wakes up in the middle of anything: after a long silence the store is asked at once.
        """
        if self.successor is None and time.time() - self._seen > self._timings.lease_s / 2:
            self._look()
        if self.successor is not None:
            raise OwkdError(
                f"a run must have one driver, but {self._what} is driven by {self.successor.describe()}; leave it "
                "to that one"
            )

    def write(self, ended: bool = False) -> None:
        """Gives a sign of life, or the last one."""
        lease = replace(self.lease, beat=time.time(), ended=ended)
        self._place.write(NAME, json.dumps(asdict(lease)).encode())

    def stop(self) -> None:
        """Gives the lease back, where it is still held."""
        self._over.set()
        if self.is_alive():
            self.join()
        with suppress(OSError):  # the store is away: the lease ends by its silence
            self._look()
            if self.successor is None:
                self.write(ended=True)

    def _look(self) -> None:
        current = read_lease(self._place)
        self.successor = current if current is not None and current.driver != self.lease.driver else None
        self._seen = time.time()


def _outwait(place: ObjectStore, before: Lease, what: str, timings: StoreTimings) -> None:
    """Returns once a driver has been silent for `lease_s`; clocks that differ between machines do not matter."""
    begun = time.monotonic()
    silent = min(max(0.0, time.time() - before.beat), timings.lease_s)
    while silent + time.monotonic() - begun < timings.lease_s:
        time.sleep(min(1.0, timings.beat_s / 4))
        current = read_lease(place)
        if current is None or current.ended:
            return
        if (current.driver, current.beat) != (before.driver, before.beat):
            raise UserError(
                f"a run must have one driver, but {what} is driven by {current.describe()}; wait for it or stop it"
            )


def _parse(raw: bytes | None) -> Lease | None:
    return None if raw is None else Lease(**json.loads(raw))
