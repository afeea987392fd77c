"""What the sampler learns of an earlier run (`search.warm_start`): its complete trials, as points of our space.

The part of the space that both runs search is taken as those trials had it. What only ours has is as in their
configuration, moved to the nearest value that our space can express. The points are kept in our own study, so that
a resumed run needs the earlier one no longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from owkd.config import Config
from owkd.errors import ConfigError, UserError
from search.runs.damage import DamagedRunError
from search.runs.layout import RunFolder
from search.runs.manifest import open_run
from search.samplers.cmaes import WARM_CMAES
from search.space.parameters import nearest_point
from search.study.journal import open_journal
from search.trials.objective import violations
from search.trials.view import NO_DISTILLATION_NAME


@dataclass(frozen=True)
class EarlierTrials:
    """Complete trials of an earlier run, in our space.

    Attributes:
        points: plain values: `params`, and `values` by metric; those that break one of our constraints are left out
        summary: which run, how many trials, which part of the space; one line for people
    """

    points: tuple[Mapping[str, Any], ...]
    summary: str


def read_earlier(config: Config) -> EarlierTrials | None:
    """What `search.warm_start` names, a folder or an address in a store; None where it names nothing.

    Raises `ConfigError` when there is no such run, when it has no complete trial that keeps our constraints, shares
    nothing with our space, or was measured otherwise.
    """
    run = config.search.warm_start
    if run is None:
        return None
    try:
        folder, theirs, _ = open_run(run, only=("study.journal",))
        trials = _complete_trials(folder)
    except (UserError, ConfigError) as error:
        raise ConfigError([f"search.warm_start must name a run: {error}"]) from error
    if mismatch := _mismatch(config, theirs, trials):
        raise ConfigError([f"search.warm_start must name a run {mismatch}"])
    points = tuple(_points(config, theirs, trials))
    if not points:
        raise ConfigError(
            [f"search.warm_start must name a run with a trial that keeps search.constraints, but {run} has none"]
        )
    if config.search.sampler.name == "cmaes" and len(points) < WARM_CMAES:
        ignored = f"warm start ignored: cmaes needs {WARM_CMAES} complete trials, {run} has {len(points)}"
        return EarlierTrials((), ignored)
    return EarlierTrials(points, f"warm start: {len(points)} trials of {run}, {_coverage(config, theirs)}")


def _mismatch(config: Config, theirs: Config, trials: Sequence[FrozenTrial]) -> str | None:
    """What a run must have and has not, for its trials to be points of our search; None where nothing is amiss."""
    run = config.search.warm_start
    ours, other = config.search.objectives[0], theirs.search.objectives[0]
    if not config.search.space.keys() & theirs.search.space.keys():
        return f"that searched a field of ours, but {run} has none"
    if (ours.metric, ours.reduction) != (other.metric, other.reduction):
        return (
            f"with the same first objective, but {run} has {other.metric} ({other.reduction}), and this "
            f"configuration {ours.metric} ({ours.reduction})"
        )
    if not trials:
        return f"with a complete trial, but {run} has none"
    if not any(_has_metrics(config, trial) for trial in trials):
        return f"whose trials were scored by {', '.join(config.search.judged_metrics)}, but got {run}"
    return None


def _coverage(config: Config, theirs: Config) -> str:
    """Which fields of our space the earlier run searched, and which it had at one value."""
    searched = [path for path in config.search.space if path in theirs.search.space]
    configured = [path for path in config.search.space if path not in theirs.search.space]
    rest = f"; as in its configuration: {', '.join(configured)}" if configured else ""
    return f"which searched {', '.join(searched)}{rest}"


def _complete_trials(folder: RunFolder) -> list[FrozenTrial]:
    """Reads alone: a study that is not there is not made."""
    if not folder.journal.is_file():
        raise DamagedRunError(folder.journal, "is missing")
    storage = open_journal(folder.journal)
    names = optuna.get_all_study_names(storage)
    if not names:
        return []
    return optuna.load_study(study_name=names[0], storage=storage).get_trials(states=(TrialState.COMPLETE,))


def _points(config: Config, theirs: Config, trials: Sequence[FrozenTrial]) -> Iterator[Mapping[str, Any]]:
    """The trials that have all our metrics and keep our constraints, as points of our space.

    Training without distillation is near to none of them.
    """
    for trial in trials:
        if trial.user_attrs.get("fixed") == NO_DISTILLATION_NAME:
            continue
        metrics = _metrics(trial)
        if _has_metrics(config, trial) and all(v <= 0 for v in violations(config.search, metrics).values()):
            point = nearest_point(config, trial.user_attrs["values"], theirs)
            yield {"params": point.params, "values": metrics}


def _has_metrics(config: Config, trial: FrozenTrial) -> bool:
    return set(config.search.judged_metrics) <= _metrics(trial).keys()


def _metrics(trial: FrozenTrial) -> dict[str, float]:
    """What the trial was scored by."""
    values: dict[str, float] = trial.user_attrs.get("judged", {}).get("values", {})
    return values
