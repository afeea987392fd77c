"""The driver of a run: a search, its continuation or its final stage, on this machine's Ray or on a cluster."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from launch import library
from launch.connection import remove_leftovers
from launch.output.console import OutputClosedError, console, errors
from launch.output.summary import continued_by_the_same_command, print_retrain_summary, print_search_summary
from owkd.config import Config
from owkd.errors import OwkdError

if TYPE_CHECKING:
    from search.storage.address import Address


def run_search(
    config: Config, runs: Path | str, address: str | None = None, *, quiet: bool = False, resume: bool = False
) -> None:
    """A new search at `runs/<name>`; with `resume`, the one that is there. Raises as `search.run_search.search`, after
    printing how to resume."""
    from search.runs.manifest import is_taken
    from search.storage.address import Address

    run = Address.of(runs) / config.name
    if resume and is_taken(run):
        run_resume(run, address=address, quiet=quiet)
        return
    with _resume_hint(run):
        print_search_summary(library.search(config, run, address=address, console=_progress(quiet)))


def run_resume(
    run: Address | Path | str,
    trials: int | None = None,
    address: str | None = None,
    *,
    force: bool = False,
    quiet: bool = False,
) -> None:
    """Resumes a search, for `trials` more than were planned. Raises as `search.run_search.resume`."""
    with _resume_hint(run):
        print_search_summary(library.resume(run, trials=trials, address=address, force=force, console=_progress(quiet)))


def run_retrain(
    run: Path | str,
    address: str | None = None,
    *,
    reopen: bool = False,
    seeds: int | None = None,
    quiet: bool = False,
) -> None:
    """The final stage of a run, and its table. Raises as `search.retrain.stage.retrain`."""
    with _resume_hint(run, "retrain"):
        outcome = library.retrain(run, address=address, reopen=reopen, seeds=seeds, console=_progress(quiet))
    print_retrain_summary(outcome)


def train_pilot(config: Config, runs: Path | str, seeds: int, address: str | None = None) -> None:
    """The pilot of a search at `runs/<name>`. Raises as `search.pilot.run_pilot`."""
    from search.pilot import pilot_address, run_pilot

    remove_leftovers()
    connect = library.checked_connection(address, config, pilot_address(config, runs), console)
    with continued_by_the_same_command():
        run_pilot(config, runs, seeds, connect=connect, console=errors)


def _progress(quiet: bool) -> Console | None:
    """Where people watch a driver; nowhere where they want its outcome alone."""
    return None if quiet else console


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
