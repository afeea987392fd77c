"""The processes that this one started, and their end; by what the kernel says, without Ray."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

Process = tuple[int, str]
"""process id and start time, which together name one process"""


def descendants() -> set[Process]:
    """Processes that this one started, and theirs."""
    processes = list(_processes())
    parents = {pid: parent for pid, parent, _ in processes}
    found = set()
    for pid, _, started in processes:
        ancestor = parents.get(pid)
        while ancestor is not None and ancestor != os.getpid():
            ancestor = parents.get(ancestor)
        if ancestor is not None:
            found.add((pid, started))
    return found


def await_end(expected: set[Process], wait_s: float) -> None:
    """Waits until processes have ended, and kills those that have not in time."""
    deadline = time.monotonic() + wait_s
    while expected := expected & {(pid, started) for pid, _, started in _processes()}:
        if time.monotonic() > deadline:
            for pid, _ in expected:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def _processes() -> Iterator[tuple[int, int, str]]:
    """(process id, parent, start time) of every process on this machine."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(path.parent.name), int(fields[1]), fields[19]
