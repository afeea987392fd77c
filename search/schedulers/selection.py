"""The scheduler that a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler

from owkd.config import Config, SchedulerConfig
from search.runs.layout import trial_name
from search.schedulers.asha import asha_rule, describe_asha
from search.schedulers.hyperband import Brackets, describe_hyperband
from search.schedulers.median import describe_median, median_rule
from search.schedulers.resumable import Curve, ResumableScheduler, Verdict
from search.trials.budget import Budget
from search.trials.view import FIXED


@dataclass(frozen=True)
class SchedulerKind:
    """What must be known of a kind of scheduler.

    Attributes:
        rule: its section, and the most steps of a trial -> one of Ray's schedulers
        describe: what it does, for people
    """

    rule: Callable[[Any, int], Any]
    describe: Callable[[Any], str]


SCHEDULERS: dict[str, SchedulerKind] = {
    "asha": SchedulerKind(asha_rule, describe_asha),
    "hyperband": SchedulerKind(Brackets, describe_hyperband),
    "median": SchedulerKind(median_rule, describe_median),
    "none": SchedulerKind(
        lambda scheduler, longest: FIFOScheduler(), lambda scheduler: "every trial trains to its end"
    ),
}


def make_scheduler(
    config: Config,
    past: Iterable[tuple[str, Curve]],
    gives_up: Verdict | None = None,
    spares: Verdict | None = None,
    never_stopped: Container[str] = frozenset(map(trial_name, range(len(FIXED)))),
) -> ResumableScheduler:
    """The configured scheduler, which knows what trials of earlier drivers reported (`past`: job key, curve).

    A job that it would let continue, `gives_up` may stop all the same; one that it would stop, `spares` may let
    continue, unless it is given up. Nothing stops any of `never_stopped`, by default a new search's fixed trials: what
    all others are compared with must be known at its end.
    """
    scheduler = config.search.scheduler
    rule = SCHEDULERS[scheduler.name].rule(scheduler, Budget.of(config).trial_steps)
    return ResumableScheduler(rule, past, gives_up, spares, never_stopped)


def describe_scheduler(scheduler: SchedulerConfig) -> str:
    """What stops trials, for people."""
    return f"{scheduler.name}: {SCHEDULERS[scheduler.name].describe(scheduler)}"
