"""A Ray of our own on this machine: quiet while it runs, heard by this machine alone, and gone without a trace.

Everything that it has listens on the loopback device, and asks for a token that is in the environment of its processes
and in no file. Its files are below a folder that only this user may enter.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from launch.connection.limit import limited
from launch.connection.processes import await_end, descendants
from launch.connection.signals import signals_stay_ours
from launch.connection.timings import TIMINGS, ConnectionTimings
from owkd import temporary
from owkd.errors import OwkdError
from owkd.interruption import listen_again, uninterrupted
from owkd.machine import this_machine

OBJECT_STORE_BYTES = 128 * 2**20
"""jobs and messages are small; Ray's default is a third of the memory"""
PREFIX = "owkd-ray-"
LONGEST_PLACE = 12
"""characters: Ray's sockets are far below this folder, and a socket's path has 107 characters at most"""
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # every address is then 127.0.0.1, as there
    "RAY_enable_metrics_collection": "0",  # its port is open to all interfaces
}
TOKEN = "RAY_AUTH_TOKEN"


@contextmanager
def local_ray(
    *, dashboard: bool = False, cpus: int | None = None, timings: ConnectionTimings = TIMINGS
) -> Iterator[None]:
    """Starts Ray on this machine, as quiet as possible, and leaves no process and no file of it behind.

    It has the CPUs, memory and GPUs that this process may use: affinity, control groups and CUDA_VISIBLE_DEVICES limit
    them. `cpus`: to have, instead.

    Raises `OwkdError` where it does not start, or not in time.
    """
    with ExitStack() as stack, _loopback_alone():
        folder = _new_folder(stack)
        before = descendants()
        wait_s = 0.0  # what has only half started is not waited for
        try:
            _start(folder, dashboard, cpus, timings.start_s)
            wait_s = timings.hurried_s  # until all is done: whoever sends a signal does not wait for long
            yield
            wait_s = timings.shutdown_s
        finally:
            with uninterrupted():
                _stop(descendants() - before, wait_s)


def remove_leftovers() -> None:
    """Removes the folders of killed drivers: their Ray died with them."""
    for place in _places():
        temporary.remove_leftovers(place, PREFIX)


def gpus_to_use() -> int | None:
    """GPUs for a Ray of our own; None where its own count is right.

    Ray takes each entry of CUDA_VISIBLE_DEVICES for a GPU, -1 too.
    """
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return None
    from owkd.device import count_gpus

    return count_gpus()


def _start(folder: Path, dashboard: bool, cpus: int | None, wait_s: float) -> None:
    """Raises `OwkdError` where Ray does not start, or not in time."""
    import ray

    from search.execution.resources import memory_for_trials

    machine = this_machine()
    os.environ.setdefault(TOKEN, secrets.token_hex(32))  # Ray reads it once in the life of a process
    try:
        with limited(wait_s, "Ray's start"), signals_stay_ours():
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
                _temp_dir=str(folder / "ray"),
            )
    except Exception as error:  # Ray raises RuntimeError, ValueError, and plain Exception when it takes too long
        raise OwkdError(
            f"a Ray of our own must start on this machine, but it did not: {_first_line(error)}; see to the room in "
            f"{folder.parent} and /dev/shm, the free memory and the limit of processes (ulimit -u), and call it again"
        ) from error


def _stop(started: set[tuple[int, str]], wait_s: float) -> None:
    import ray

    try:
        ray.shutdown()
    finally:
        listen_again()
        await_end(started, wait_s)


@contextmanager
def _loopback_alone() -> Iterator[None]:
    """Ray's processes read the environment; this one may have imported Ray's constants before."""
    before = {name: os.environ.get(name) for name in LOOPBACK}
    os.environ.update(LOOPBACK)
    from ray._private import ray_constants

    clustered = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clustered
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _new_folder(stack: ExitStack) -> Path:
    """A folder of ours, in the first place that can be written to. Raises `OwkdError` where there is none."""
    remove_leftovers()
    refusals = []
    for place in _places():
        try:
            return stack.enter_context(temporary.marked_folder(place, PREFIX))
        except OSError as error:
            refusals.append(f"{place}: {error.strerror}")
    raise OwkdError(
        f"Ray must have a folder for its sockets, but got {'; '.join(refusals)}; make /tmp writable, or set TMPDIR to "
        f"a writable folder whose path has {LONGEST_PLACE} characters at most"
    )


def _places() -> list[Path]:
    """Where Ray's files may be: TMPDIR where it is short enough, or /tmp."""
    chosen = Path(tempfile.gettempdir())
    return [*([chosen] if len(str(chosen)) <= LONGEST_PLACE and chosen != Path("/tmp") else []), Path("/tmp")]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
