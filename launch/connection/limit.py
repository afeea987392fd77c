"""A limit to what has none of its own, such as Ray's calls that wait for another process."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def limited(wait_s: float, what: str) -> Iterator[None]:
    """Raises `TimeoutError` in the block once it has lasted for `wait_s`; outside the main thread there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"{what} took longer than {wait_s:g} s")

    begun = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, wait_s)
    try:
        yield
    finally:
        # Whoever has set the alarm before, such as a test's own limit, finds it where it would be.
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begun), 0.001), interval)
