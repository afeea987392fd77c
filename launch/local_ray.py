"""A Ray of our own on this machine: quiet while it runs, and gone without a trace afterwards."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from owkd.machine import this_machine

OBJECT_STORE_BYTES = 128 * 2**20
"""jobs and messages are small; Ray's default is a third of the memory"""
TEMPORARY = Path("/tmp")
OURS = re.compile(r"owkd-\d+-[a-z0-9_]{8}")
"""names of the folders that we make there: owkd, the process, what `mkdtemp` adds"""


@dataclass(frozen=True)
class ConnectionTimings:
    """How long Ray is waited for, seconds.

    Attributes:
        answer_s: until something listens at the address of a cluster
        shutdown_s: until the processes of a Ray of our own have ended; then they are killed
    """

    answer_s: float = 5.0
    shutdown_s: float = 10.0


TIMINGS = ConnectionTimings()


@contextmanager
def local_ray(
    *, dashboard: bool = False, cpus: int | None = None, timings: ConnectionTimings = TIMINGS
) -> Iterator[None]:
    """Starts Ray on this machine, as quiet as possible, and leaves no process and no file of it behind.

    It has the CPUs, memory and GPUs that this process may use: affinity, control groups and CUDA_VISIBLE_DEVICES limit
    them. Token authentication is on, as is Ray's default; a dashboard, where asked for, listens on this machine only.

    `cpus`: to have, instead.
    """
    import ray

    from search.execution.resources import memory_for_trials

    machine = this_machine()
    remove_leftovers()
    # Ray's sockets are below this folder, and a socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix=f"owkd-{os.getpid()}-", dir=TEMPORARY))
    handle = _lock(folder)
    try:
        ray.init(
            address="local",
            num_cpus=cpus or machine.cpus,
            num_gpus=gpus_to_use(),
            _memory=None if machine.memory is None else memory_for_trials(machine.memory),
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
        )
        yield
    finally:
        with uninterrupted():
            started = _descendants()
            ray.shutdown()
            _await_end(started, timings.shutdown_s)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def remove_leftovers() -> None:
    """Removes the folders of killed drivers: their Ray died with them, and so did their lock on its folder."""
    for folder in TEMPORARY.glob("owkd-*-*"):
        if not OURS.fullmatch(folder.name):
            continue
        try:
            handle = _lock(folder)
        except OSError:  # its driver lives, or it is another user's
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def gpus_to_use() -> int | None:
    """GPUs for a Ray of our own; None where its own count is right.

    Ray takes each entry of CUDA_VISIBLE_DEVICES for a GPU, -1 too.
    """
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return None
    from owkd.device import count_gpus

    return count_gpus()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits: cutting a shutdown short would leave processes behind."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not in the main thread, where signals do not arrive anyway
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _lock(folder: Path) -> int:
    """Locks a folder for as long as this process keeps the handle. Raises `OSError` when another one has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _descendants() -> set[tuple[int, str]]:
    """Processes that this one started, and theirs: (process id, start time), which together name one process."""
    parents = {pid: parent for pid, parent, _ in _processes()}
    descendants = set()
    for pid, _, started in _processes():
        ancestor = parents.get(pid)
        while ancestor is not None and ancestor != os.getpid():
            ancestor = parents.get(ancestor)
        if ancestor is not None:
            descendants.add((pid, started))
    return descendants


def _processes() -> Iterator[tuple[int, int, str]]:
    """(process id, parent, start time) of every process on this machine."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(path.parent.name), int(fields[1]), fields[19]


def _await_end(expected: set[tuple[int, str]], wait_s: float) -> None:
    """Waits until processes have ended, and kills those that have not in time."""
    deadline = time.monotonic() + wait_s
    while expected:
        expected &= {(pid, started) for pid, _, started in _processes()}
        if expected and time.monotonic() > deadline:
            for pid, _ in expected:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            return
        time.sleep(0.05)
