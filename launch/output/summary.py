"""What a command says at its end: what it has come to, and the commands that come next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launch.output.console import console
from owkd.errors import OwkdError

if TYPE_CHECKING:
    from search.retrain.stage import Outcome
    from search.run_search import Summary


def tell_summary(summary: Summary) -> None:
    """What a search has come to. Raises `OwkdError` when that is nothing."""
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(summary.counts.items()))
    console.print(f"{sum(summary.counts.values())} of {summary.target} trials: {counts}", soft_wrap=True)
    run = summary.folder.address
    if summary.best is None:
        raise OwkdError(f"no trial of {run} is complete; owkd trials {run} lists what became of them")
    _say(f"best: {summary.describe(summary.best)}")
    if not summary.best.published:
        _say(f"published setting: {summary.describe(summary.published)}")
    console.print(f"results: {run / 'results'}", soft_wrap=True)
    typed = shlex.quote(str(run))  # an address may hold what a shell would take for its own
    tell_next({f"retrain {typed}": "the final stage", f"report {typed}": "one page on it all"})


def tell_outcome(outcome: Outcome) -> None:
    """What the final stage has come to."""
    console.print(outcome.comparison.render())
    console.print(f"champion: {outcome.folder.where(outcome.folder.champion)}", soft_wrap=True)
    tell_next({f"report {shlex.quote(str(outcome.folder.address))}": "one page on it all"})


def tell_next(commands: Mapping[str, str]) -> None:
    """Commands of owkd, and what they are for."""
    width = max(map(len, commands))
    console.print("next:")
    for command, purpose in commands.items():
        console.print(f"  owkd {command:<{width}}  # {purpose}", soft_wrap=True, markup=False)


def _say(text: str) -> None:
    """Prose: broken between words on a terminal, one line anywhere else."""
    console.print(text, soft_wrap=not console.is_terminal)
