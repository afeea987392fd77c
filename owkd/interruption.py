"""Ctrl-C, SIGTERM and SIGHUP: the first one ends a command in an orderly way, a second one ends it at once.

| signal  | sent by                                         | raised              | exit status |
|---------|-------------------------------------------------|---------------------|-------------|
| SIGINT  | Ctrl-C                                          | `KeyboardInterrupt` | 130         |
| SIGTERM | Slurm, Kubernetes, docker stop, systemd, kill   | `Terminated`        | 143         |
| SIGHUP  | a terminal that is closed                       | `Terminated`        | 129         |

Signals arrive in the main thread, between two steps of Python, which may be in the middle of a record. What must not be
cut in two stands in `uninterrupted()`, which lets the first signal wait until it has ended.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ECHO_S = 0.1
"""senders such as `timeout` signal a process and then its group: what follows so closely is the same signal"""
SHOW_CURSOR = b"\x1b[?25h"


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; whatever lets Ctrl-C end it lets this end it too."""


@dataclass
class _Signals:
    """What has arrived since a command began; signals are a process's, so there is one.

    Attributes:
        first: the first signal; 0 before
        waits: it has not been raised yet
        depth: blocks that it must not cut
        handlers: while signals are listened to
    """

    first: int = 0
    arrived_at: float = 0.0
    waits: bool = False
    depth: int = 0
    handlers: dict[int, Any] = field(default_factory=dict)

    def arrive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.first:
            self.first, self.arrived_at = number, now
            if self.depth:
                self.waits = True
            else:
                self.end()
        elif now - self.arrived_at > ECHO_S:
            _end_at_once(number)

    def end(self) -> None:
        self.waits = False
        name = signal.Signals(self.first).name
        raise KeyboardInterrupt if self.first == signal.SIGINT else Terminated(name)


_signals = _Signals()


@contextmanager
def heeded() -> Iterator[Callable[[], int]]:
    """Listens to signals for as long as the block lasts. Gives what tells the exit status that they ask for; 0: none.

    Signals that are ignored, as `nohup` and a shell's `&` have it, stay ignored. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _signals.first, _signals.waits = 0, False
    _signals.handlers = {
        number: signal.SIG_IGN if handler is signal.SIG_IGN else _signals.arrive for number, handler in before.items()
    }
    listen_again()
    try:
        yield lambda: 128 + _signals.first if _signals.first else 0
    finally:
        _signals.handlers = {}
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def listen_again() -> None:
    """To be called after a library has put handlers of its own in place of ours, as `ray.init` does."""
    for number, handler in _signals.handlers.items():
        signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets the first signal wait until the block has ended; a second one still ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _signals.handlers:
        with heeded(), uninterrupted():
            yield
        return
    _signals.depth += 1
    try:
        yield
    finally:
        _signals.depth -= 1
        if _signals.waits and not _signals.depth:
            _signals.end()


def _end_at_once(number: int) -> None:
    with suppress(OSError):
        if os.isatty(1):
            os.write(1, SHOW_CURSOR)  # a live view hides it
    os._exit(128 + number)
