"""What a command prints at its end: its outcome, and the commands that come next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from launch.output.console import OutputClosedError, console, errors, print_prose
from owkd.errors import OwkdError

if TYPE_CHECKING:
    from search.retrain.stage import Outcome
    from search.run_search import Summary


def print_search_summary(summary: Summary) -> None:
    """The outcome of a search. Raises `OwkdError` when no trial is complete."""
    from search.luck import noise_in_words  # SciPy takes most of a second, and every command imports this module

    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(summary.counts.items()))
    console.print(f"{sum(summary.counts.values())} of {summary.num_trials} trials: {counts}", soft_wrap=True)
    run = summary.folder.address
    if summary.best is None:
        raise OwkdError(f"no trial of {run} is complete; owkd trials {run} lists their states")
    print_prose(f"best: {summary.describe(summary.best)}")
    for view in summary.fixed:
        if view.number != summary.best.number:
            print_prose(summary.describe(view))
    print_prose(noise_in_words(summary.noise))
    if summary.used_up:
        console.print(
            f"the search is at its end: all {summary.used_up} points of search.space have a trial, and none is trained "
            "twice while it may go on; widen the space for more",
            soft_wrap=True,
        )
    for sentence in summary.teaching:
        print_prose(sentence)
    console.print(f"results: {run / 'results'}", soft_wrap=True)
    quoted = shlex.quote(str(run))  # an address may hold characters that mean something to a shell
    print_next_commands({f"retrain {quoted}": "the final stage", f"report {quoted}": "one page of results"})


def print_retrain_summary(outcome: Outcome) -> None:
    """The outcome of the final stage."""
    from launch.output.final_stage import final_stage_page

    console.print(final_stage_page(outcome.comparison))
    console.print(f"champion: {outcome.folder.where(outcome.folder.champion)}", soft_wrap=True)
    print_next_commands({f"report {shlex.quote(str(outcome.folder.address))}": "one page of results"})


def print_next_commands(commands: Mapping[str, str]) -> None:
    """Commands of owkd, and what they are for."""
    width = max(map(len, commands))
    console.print("next:")
    for command, purpose in commands.items():
        console.print(f"  owkd {command:<{width}}  # {purpose}", soft_wrap=True)


@contextmanager
def continued_by_the_same_command() -> Iterator[None]:
    """Says so when what is in the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(OSError, OutputClosedError):
            errors.print("Stopped; nothing is lost: the same command continues.")
        raise
