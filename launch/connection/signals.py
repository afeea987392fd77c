"""Signals while Ray starts, which puts handlers of its own in place of ours."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from owkd.interruption import SIGNALS, listen_again


@contextmanager
def signals_stay_ours() -> Iterator[None]:
    """For `ray.init`, whose first handler of SIGTERM exits as if with a status of our own, and whose second one aborts.

    The first is left out. The second, of C++, is set while Ray connects, when every process of it has been started that
    would inherit what is blocked here: until ours are back, signals wait.
    """
    from ray._private import utils, worker

    set_handler, connect = utils.set_sigterm_handler, worker.connect

    def connect_unheard(*given: Any, **named: Any) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return connect(*given, **named)
        finally:
            listen_again()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    utils.set_sigterm_handler = lambda handler: None
    worker.connect = connect_unheard
    try:
        yield
    finally:
        utils.set_sigterm_handler, worker.connect = set_handler, connect
        listen_again()
