"""File systems that no longer answer, such as a network mount whose server is gone: whoever reads there waits for ever.

What waits in the kernel cannot be interrupted from Python, so a thread of its own looks, and others count the seconds.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from owkd.errors import UserError


@dataclass(frozen=True)
class StallTimings:
    """Seconds.

    Attributes:
        answer_s: in which a healthy file system has answered, and after which people read that one does not
        give_up_s: without an answer until the process is asked to end
        grace_s: for it to end by itself
        look_s: between looks
    """

    answer_s: float = 30.0
    give_up_s: float = 600.0
    grace_s: float = 30.0
    look_s: float = 10.0


STALL_TIMINGS = StallTimings()


def require_answer(paths: Sequence[Path], timings: StallTimings = STALL_TIMINGS) -> None:
    """Looks at every path, whether something is there or not. Raises `UserError` where one does not answer."""
    looks = [_Look(path) for path in dict.fromkeys(paths)]
    until = time.monotonic() + timings.answer_s
    for look in looks:
        look.thread.join(max(0.0, until - time.monotonic()))
        if look.thread.is_alive():
            raise UserError(
                f"files must be readable, but nothing answers at {look.path} for {timings.answer_s:g} s; its file "
                "system has stalled: see to the server or the disk behind it, or name another place"
            )


@contextmanager
def watched(
    paths: Sequence[Path],
    tell: Callable[[str], None],
    timings: StallTimings = STALL_TIMINGS,
    end: Callable[[int], None] = os._exit,
) -> Iterator[None]:
    """Looks at the paths from time to time while the block lasts, and tells when one stalls and when it is back.

    Where that lasts too long, this process is asked to end as by SIGTERM, and ended (`end`, an exit code) where it
    cannot.
    """
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(paths, tell, timings, end, done), daemon=True, name="stalled files")
    watch.start()
    try:
        yield
    finally:
        done.set()


class _Look:
    """One look at a path, in a thread that may never end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread = threading.Thread(target=_look, args=(path,), daemon=True, name=f"look at {path}")
        self.thread.start()


def _look(path: Path) -> None:
    """Reads what a path is and, of a folder, its first name. Any answer will do, also that nothing is there."""
    with suppress(OSError, ValueError):
        if path.is_dir():
            with os.scandir(path) as names:
                next(names, None)


def _watch(
    paths: Sequence[Path],
    tell: Callable[[str], None],
    timings: StallTimings,
    end: Callable[[int], None],
    done: threading.Event,
) -> None:
    while not done.wait(timings.look_s):
        for look in [_Look(path) for path in paths]:
            look.thread.join(timings.answer_s)
            if not look.thread.is_alive() or done.is_set():
                continue
            tell(f"nothing answers at {look.path} for {timings.answer_s:g} s: its file system has stalled; waiting")
            look.thread.join(timings.give_up_s - timings.answer_s)
            if done.is_set():
                return
            if not look.thread.is_alive():
                tell(f"{look.path} answers again")
                continue
            tell(f"nothing answers at {look.path} for {timings.give_up_s:g} s: giving up")
            os.kill(os.getpid(), signal.SIGTERM)
            if not done.wait(timings.grace_s):
                end(1)
            return
