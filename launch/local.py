"""A connection to Ray, of our own on this machine or to a cluster that runs already, and what is run over it."""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from launch.output.console import console
from launch.output.summary import tell_outcome, tell_summary
from owkd.config import Config
from owkd.errors import UserError

if TYPE_CHECKING:
    from search.execution.node_admission import NodeAdmission
    from search.execution.stage import Connect
    from search.storage.address import Address

OBJECT_STORE_BYTES = 128 * 2**20
"""jobs and messages are small; Ray's default is a third of the memory"""
TEMPORARY = Path("/tmp")
END_WAIT_S = 10.0
KNOCK_S = 5.0


def run_search(config: Config, runs: Path | str, address: str | None = None) -> None:
    """A new search at `runs/<name>`. Raises as `search.run_search.search`, after saying how to go on."""
    from search.run_search import search
    from search.storage.address import Address

    run = Address.of(runs) / config.name
    with _saying_how_to_resume(run):
        tell_summary(search(config, run, connect=_sound(address, config, run), console=console))


def run_resume(run: Path | str, trials: int | None = None, address: str | None = None, *, force: bool = False) -> None:
    """Goes on with a search, for `trials` more than were planned. Raises as `search.run_search.resume`."""
    from search.run_search import resume
    from search.runs.manifest import open_run

    _sweep()  # a run that is done starts no Ray, but its last driver may have left one
    folder, config, _ = open_run(run, drive=True)
    connect = _sound(address, config, folder.address)
    with _saying_how_to_resume(run):
        tell_summary(resume(run, trials=trials, connect=connect, console=console, force=force))


def run_retrain(run: Path | str, address: str | None = None) -> None:
    """The final stage of a run, and its table. Raises as `search.retrain.stage.retrain`."""
    from search.retrain.stage import retrain
    from search.runs.manifest import open_run

    _sweep()
    folder, config, _ = open_run(run, drive=True)
    connect = _sound(address, config, folder.address)
    with _saying_how_to_resume(run, "retrain"):
        outcome = retrain(run, connect=connect, console=console)
    tell_outcome(outcome)


def connection(address: str | None, *, dashboard: bool = False) -> Callable[[], AbstractContextManager[None]]:
    """How a search reaches Ray: the cluster at `address`, or, without one, a Ray of its own on this machine."""
    return partial(_local, dashboard=dashboard) if address is None else partial(_attached, address)


def _sound(address: str | None, config: Config, run: Address) -> Connect:
    """As `connection`, but a cluster is entered only when each of its nodes can serve. Entering raises `UserError`."""
    return connection(address) if address is None else partial(_examined, address, config, run)


@contextmanager
def _examined(address: str, config: Config, run: Address) -> Iterator[NodeAdmission]:
    from launch.doctor.preflight import admit

    with _attached(address):
        yield admit(config, run)


@contextmanager
def _saying_how_to_resume(run: Address | Path | str, command: str = "resume") -> Iterator[None]:
    from search.runs.manifest import exists

    try:
        yield
    except KeyboardInterrupt:
        if exists(run):
            console.print(
                f"Stopped; nothing is lost. Go on with: owkd {command} {shlex.quote(str(run))}", soft_wrap=True
            )
        raise


@contextmanager
def _local(*, dashboard: bool = False, cpus: int | None = None) -> Iterator[None]:
    """Starts Ray on this machine, as quiet as it goes, and leaves no process and no file of it behind.

    Token authentication is on, as Ray has it by default; a dashboard, where asked for, listens on this machine only.
    """
    import ray

    _sweep()
    # Ray's sockets lie below this folder, and a socket's path has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix=f"owkd-{os.getpid()}-", dir=TEMPORARY))
    handle = _hold(folder)
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
        )
        yield
    finally:
        with _undisturbed():
            left = _descendants()
            ray.shutdown()
            _await_end(left)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def _sweep() -> None:
    """Removes what killed drivers left: their Ray died with them, and so did their hold on its folder."""
    for folder in TEMPORARY.glob("owkd-*-*"):
        try:
            handle = _hold(folder)
        except OSError:  # its driver lives, or it is another user's
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _hold(folder: Path) -> int:
    """Locks a folder for as long as this process keeps the handle. Raises `OSError` when another one has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


@contextmanager
def _attached(address: str) -> Iterator[None]:
    """Joins a running cluster as a driver, on one of its nodes. Raises `UserError` when it cannot."""
    import ray

    answered = False
    try:
        _knock(address)
        answered = True
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        turned_away = isinstance(error, ConnectionError) and answered and address != "auto"
        locked = isinstance(error, ray.exceptions.AuthenticationError) or turned_away
        remedy = _token_remedy() if locked else "start one, or leave --address out"
        raise UserError(
            f"--address must name a running Ray cluster that this machine may join, but got {address}: "
            f"{str(error).partition('. ')[0]}; {remedy}"
        ) from error
    try:
        yield
    finally:
        with _undisturbed():
            ray.shutdown()


def _token_remedy() -> str:
    """What to do where something listens, but turns this machine away."""
    host = socket.gethostname()
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    has = "RAY_AUTH_TOKEN" in os.environ or path.is_file()
    state = "has a token, which may be another cluster's" if has else f"has no token: neither RAY_AUTH_TOKEN nor {path}"
    return (
        f"copy ~/.ray/auth_token of the cluster's head to {path} on {host}, which {state}, and set RAY_AUTH_MODE=token"
    )


def _knock(address: str) -> None:
    """Raises `OSError`, `ValueError` where nothing listens: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, separator, port = address.removeprefix("[").replace("]:", ":").rpartition(":")
    if "://" in address or not separator or not port.isdigit():
        raise ValueError("the form is HOST:PORT, or auto")
    with socket.create_connection((host, int(port)), timeout=KNOCK_S):
        pass


@contextmanager
def _undisturbed() -> Iterator[None]:
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


def _descendants() -> set[tuple[int, str]]:
    """Processes that this one started, and theirs: (process id, start time), which together name one process."""
    parents = {pid: parent for pid, parent, _ in _processes()}
    found = set()
    for pid, _, started in _processes():
        above = parents.get(pid)
        while above is not None and above != os.getpid():
            above = parents.get(above)
        if above is not None:
            found.add((pid, started))
    return found


def _processes() -> Iterator[tuple[int, int, str]]:
    """(process id, parent, start time) of every process on this machine."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(path.parent.name), int(fields[1]), fields[19]


def _await_end(expected: set[tuple[int, str]]) -> None:
    """Waits until processes are gone, and kills those that outstay."""
    deadline = time.monotonic() + END_WAIT_S
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
