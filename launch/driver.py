"""The driver of a run: a search, its continuation or its final stage, on this machine's Ray or on a cluster."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from launch.configuration import require_files
from launch.connection import connection, remove_leftovers
from launch.output.console import OutputClosedError, console, errors
from launch.output.summary import continued_by_the_same_command, print_retrain_summary, print_search_summary
from owkd.config import Config
from owkd.errors import OwkdError
from owkd.stalled import watched

if TYPE_CHECKING:
    from search.execution.node_admission import NodeAdmission
    from search.execution.stage import Connect
    from search.storage.address import Address


def run_search(config: Config, runs: Path | str, address: str | None = None) -> None:
    """A new search at `runs/<name>`. Raises as `search.run_search.search`, after printing how to resume."""
    from search.run_search import search
    from search.storage.address import Address

    run = Address.of(runs) / config.name
    with _resume_hint(run):
        summary = search(config, run, connect=_checked_connection(address, config, run), console=console)
        print_search_summary(summary)


def run_resume(run: Path | str, trials: int | None = None, address: str | None = None, *, force: bool = False) -> None:
    """Resumes a search, for `trials` more than were planned. Raises as `search.run_search.resume`."""
    from search.run_search import resume
    from search.runs.manifest import open_run

    remove_leftovers()  # a run that is done starts no Ray, but its last driver may have left one
    folder, config, _ = open_run(run, drive=True)
    connect = _checked_connection(address, config, folder.address)
    with _resume_hint(run):
        print_search_summary(resume(run, trials=trials, connect=connect, console=console, force=force))


def run_retrain(run: Path | str, address: str | None = None, *, reopen: bool = False, seeds: int | None = None) -> None:
    """The final stage of a run, and its table. Raises as `search.retrain.stage.retrain`."""
    from search.retrain.stage import retrain
    from search.runs.manifest import open_run

    remove_leftovers()
    folder, config, _ = open_run(run, drive=True)
    connect = _checked_connection(address, config, folder.address)
    with _resume_hint(run, "retrain"):
        outcome = retrain(run, connect=connect, console=console, reopen=reopen, seeds=seeds)
    print_retrain_summary(outcome)


def train_pilot(config: Config, runs: Path | str, seeds: int, address: str | None = None) -> None:
    """The pilot of a search at `runs/<name>`. Raises as `search.pilot.run_pilot`."""
    from search.pilot import pilot_address, run_pilot

    remove_leftovers()
    connect = _checked_connection(address, config, pilot_address(config, runs))
    with continued_by_the_same_command():
        run_pilot(config, runs, seeds, connect=connect, console=errors)


def _checked_connection(address: str | None, config: Config, run: Address) -> Connect:
    """As `connection`, but entered only when this machine has room for the run, or each node of a cluster can serve.

    Raises `UserError` where files do not answer; entering, too.
    """
    require_files(config)
    return (
        partial(_checked_machine, config, run) if address is None else partial(_checked_cluster, address, config, run)
    )


@contextmanager
def _checked_machine(config: Config, run: Address) -> Iterator[None]:
    from launch.doctor import require_room

    require_room(config, run)
    with _watched(config, run), connection(None)():
        yield


@contextmanager
def _checked_cluster(address: str, config: Config, run: Address) -> Iterator[NodeAdmission]:
    from launch.doctor import admit_nodes

    with _watched(config, run), connection(address)():
        yield admit_nodes(config, run)


def _watched(config: Config, run: Address) -> AbstractContextManager[None]:
    """People read when the files that a driver reads and writes stall."""
    return watched([config.data.root, *([] if run.remote else [run.path])], partial(console.print, soft_wrap=True))


@contextmanager
def _resume_hint(run: Address | Path | str, command: str = "resume") -> Iterator[None]:
    """Whatever ends a driver from outside prints the command that continues, where there is a run to continue."""
    from search.runs.manifest import exists

    try:
        yield
    except OwkdError:  # says itself what is to be done
        raise
    except (KeyboardInterrupt, Exception):
        with suppress(OSError, OutputClosedError, OwkdError):  # the terminal, or the store, may be what is gone
            if exists(run):
                continuing = f"owkd {command} {shlex.quote(str(run))}"
                console.print(f"Stopped; nothing is lost. Continue with: {continuing}", soft_wrap=True)
        raise
