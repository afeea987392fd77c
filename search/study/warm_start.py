"""What an earlier run teaches the sampler (`search.warm_start`): its complete trials, as points of our space.

The part of the space that both runs search is taken as those trials had it. What only ours has is as in their
configuration, moved to the nearest value that our space can express. The points are kept in our own study, so that
a resumed run needs the earlier one no longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from owkd.config import Config
from owkd.errors import ConfigError, UserError
from search.runs.layout import RunFolder
from search.runs.manifest import open_run
from search.samplers.cmaes import WARM_CMAES
from search.space.parameters import nearest_point
from search.trials.objective import violations


@dataclass(frozen=True)
class Earlier:
    """Complete trials of an earlier run, in our space."""

    points: tuple[Mapping[str, Any], ...]
    """plain values: `params`, and `values` by metric; those that break one of our constraints are left out"""
    told: str
    """which run, how many trials, which part of the space; one line for people"""


def read_earlier(config: Config) -> Earlier | None:
    """What `search.warm_start` names, a folder or an address in a store; None where it names nothing.

    Raises `ConfigError` when there is no such run, when it has no complete trial, shares nothing with our space, or
    was judged otherwise.
    """
    run = config.search.warm_start
    if run is None:
        return None
    try:
        folder, theirs, _ = open_run(run, only=("study.journal",))
    except (UserError, ConfigError) as error:
        raise ConfigError([f"search.warm_start must name a run: {error}"]) from error
    shared = [path for path in config.search.space if path in theirs.search.space]
    if not shared:
        raise ConfigError([f"search.warm_start must name a run that searched a field of ours, but {run} has none"])
    ours, other = config.search.objectives[0], theirs.search.objectives[0]
    if (ours.metric, ours.reduction) != (other.metric, other.reduction):
        raise ConfigError(
            [
                f"search.warm_start must name a run with the same first objective, but {run} has {other.metric} "
                f"({other.reduction}), and this configuration {ours.metric} ({ours.reduction})"
            ]
        )
    trials = _complete(folder)
    if not trials:
        raise ConfigError([f"search.warm_start must name a run with a complete trial, but {run} has none"])
    points = tuple(_points(config, theirs, trials))
    if not points:
        needed = ", ".join(config.search.judged_metrics)
        raise ConfigError([f"search.warm_start must name a run whose trials were judged by {needed}, but got {run}"])
    if config.search.sampler.name == "cmaes" and len(points) < WARM_CMAES:
        return Earlier((), f"warm start ignored: cmaes needs {WARM_CMAES} complete trials, {run} has {len(points)}")
    own = [path for path in config.search.space if path not in shared]
    rest = f"; as in its configuration: {', '.join(own)}" if own else ""
    return Earlier(points, f"warm start: {len(points)} trials of {run}, which searched {', '.join(shared)}{rest}")


def _complete(folder: RunFolder) -> list[FrozenTrial]:
    """Read alone: a study that is not there is not made."""
    if not folder.journal.is_file():
        return []
    storage = JournalStorage(JournalFileBackend(str(folder.journal)))
    names = optuna.get_all_study_names(storage)
    if not names:
        return []
    return optuna.load_study(study_name=names[0], storage=storage).get_trials(states=(TrialState.COMPLETE,))


def _points(config: Config, theirs: Config, trials: Sequence[FrozenTrial]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for trial in trials:
        judged = trial.user_attrs.get("judged", {}).get("values", {})
        if all(metric in judged for metric in config.search.judged_metrics):
            point = nearest_point(config, trial.user_attrs["values"], theirs)
            if all(missed <= 0 for missed in violations(config.search, judged).values()):
                found.append({"params": point.params, "values": judged})
    return found
