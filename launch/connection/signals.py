"""Signals while Ray starts, which puts handlers of its own in place of ours."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from owkd.interruption import listen_again

ENDING = {signal.SIGTERM, signal.SIGHUP}


@contextmanager
def signals_stay_ours() -> Iterator[None]:
    """For `ray.init`, one of whose handlers exits as if with a status of ours, and one aborts: signals wait for ours.

    What is started meanwhile never gets them, as Ray has it for Ctrl-C: a signal that goes to the whole group would end
    Ray's processes before the driver has left them, which then waits for their answers. They end with the driver.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        listen_again()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
