"""A Gaussian process that learns from stopped trials too.

Optuna's own knows complete trials only, which under successive halving are few. Here every trial that is over counts:

| trial    | counts as                                                                                            |
|----------|------------------------------------------------------------------------------------------------------|
| complete | what it is worth                                                                                     |
| pruned   | what it had reached, times the median factor by which complete trials still rose from that step on   |
| diverged | the worst that any other trial counts as                                                             |
| running  | under way: the next proposal keeps away from it                                                      |

Constraints that a stopped trial could not tell yet leave it out; so do several objectives, and a scheduler that
compares something else than the first objective. A simplex is k - 1 coordinates (`search.space.coordinates`).

One proposal in four is drawn at random all the same: estimates may all be wrong in the same way, and then a model that
is sure of them proposes one point for ever.

The model itself is Optuna's: for each proposal an ordinary study in memory is filled with these points and asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from owkd.config import LearningSettings, SearchConfig
from search.samplers.history import with_history
from search.space.coordinates import Coordinates
from search.trials.objective import score_curve

PART_EPOCHS = "part_epochs"
"""the user attribute of a trial that says how many steps each of its parts has"""
ONE_IN = 4
"""proposals: one is random"""


@dataclass(frozen=True)
class _Known:
    """A trial that is over, as the model sees it.

    Attributes:
        values: by objective
    """

    params: Mapping[str, Any]
    values: tuple[float, ...]
    constraints: Mapping[str, float]


class GaussianProcessSampler(BaseSampler):
    """Proposes what improves most in expectation, after `startup` trials that are over."""

    def __init__(self, search: SearchConfig, startup: int, seed: int) -> None:
        self._search = search
        self._startup = startup
        self._seed = seed
        self._random = RandomSampler(seed=seed)
        self._coordinates = Coordinates({path: entry for path, entry in search.space.items() if not entry.when})

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._coordinates.params

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        trials = [each for each in study.get_trials(deepcopy=False) if search_space.keys() <= each.params.keys()]
        known = expected_outcomes(self._search, trials)
        if not search_space or len(known) < self._startup or trial.number % ONE_IN == ONE_IN - 1:
            return {}
        running = [each.params for each in trials if each.state == TrialState.RUNNING]
        return self._coordinates.to_params(self._ask(study, known, running))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _ask(self, study: Study, known: Sequence[_Known], running: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Coordinates of the next trial."""
        space = self._coordinates.distributions
        sampler = GPSampler(n_startup_trials=0, warn_independent_sampling=False, seed=self._seed)
        model = optuna.create_study(directions=study.directions, sampler=sampler)
        for each in known:
            model.add_trial(
                create_trial(
                    params=self._coordinates.of(each.params),
                    distributions=space,
                    values=each.values,
                    constraints=dict(each.constraints),
                )
            )
        for params in running:
            model.add_trial(
                create_trial(state=TrialState.RUNNING, params=self._coordinates.of(params), distributions=space)
            )
        with _one_thread():
            return model.ask(space).params


def gp_sampler(search: SearchConfig, startup: int, seed: int, earlier: Sequence[FrozenTrial]) -> BaseSampler:
    """The Gaussian process as configured."""
    return with_history(GaussianProcessSampler(search, startup, seed), earlier)


def describe_gp(settings: LearningSettings) -> str:
    """What it does after its random trials, for people."""
    return f"what a Gaussian process expects most of, and one in {ONE_IN} at random"


def expected_outcomes(search: SearchConfig, trials: Sequence[FrozenTrial]) -> list[_Known]:
    """What the trials that are over count as; empty as long as none of them has a value."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    outcomes = [_Known(trial.params, tuple(trial.values), _known_constraints(search, trial)) for trial in complete]
    if len(search.objectives) == 1 and search.deciding_metric == search.leading_metric:
        outcomes += _of_stopped(search, pruned, complete)
    return outcomes + _of_diverged(search, pruned, outcomes)


def _of_stopped(
    search: SearchConfig, pruned: Sequence[FrozenTrial], complete: Sequence[FrozenTrial]
) -> Iterator[_Known]:
    """Where they would have ended; without those of which a constraint is not known yet."""
    stopped = [trial for trial in pruned if trial.intermediate_values and not has_diverged(trial)]
    for trial, end in zip(stopped, expected_ends(search, stopped, complete), strict=True):
        constraints = _known_constraints(search, trial)
        if len(constraints) == len(search.constraints):
            yield _Known(trial.params, (end,), constraints)


def _of_diverged(search: SearchConfig, pruned: Sequence[FrozenTrial], others: Sequence[_Known]) -> list[_Known]:
    """The worst that any other trial counts as; nothing while there is no other."""
    return [_Known(trial.params, *_worst(search, others)) for trial in pruned if others and has_diverged(trial)]


def expected_ends(
    search: SearchConfig, stopped: Sequence[FrozenTrial], complete: Sequence[FrozenTrial]
) -> Iterator[float]:
    """The value at which each stopped trial would have ended, had it risen as complete ones did in the median.

    Compared at equal steps of the same part, the factor also holds what the parts to come are harder than those seen.
    A factor, not a difference: trials that are worth more rise by more. Without a complete trial that came by there,
    or where those had nothing yet, it is what the trial had reached.
    """

    @cache
    def factor(step: int, part: int) -> float:
        rises = []
        for trial in complete:
            before = step < len(trial.intermediate_values) and _part_at(trial, step) == part
            if before and (reached := worth(search, trial, step)) > 0:
                rises.append(worth(search, trial) / reached)
        return median(rises) if rises else 1.0

    for trial in stopped:
        last = len(trial.intermediate_values)
        yield worth(search, trial) * factor(last, _part_at(trial, last))


def worth(search: SearchConfig, trial: FrozenTrial, step: int | None = None) -> float:
    """The first objective of a trial, over the parts that it had seen at a step; at its last one where unset."""
    curve = [trial.intermediate_values[at] for at in sorted(trial.intermediate_values)]
    return score_curve(search, curve[:step], trial.user_attrs.get(PART_EPOCHS)).values[search.leading_metric]


def _part_at(trial: FrozenTrial, step: int) -> int:
    """The part that a step belongs to, from 0; one part where nobody recorded how long parts are."""
    return (step - 1) // int(trial.user_attrs.get(PART_EPOCHS, step))


def has_diverged(trial: FrozenTrial) -> bool:
    """Whether the study holds NaN for one of its steps."""
    return any(value != value for value in trial.intermediate_values.values())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices as small as these gain nothing by more, which wait for each other where trials take every core.

    33 proposals beside two busy processes on two cores: 15.4 s with two threads, 4.7 s with one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _known_constraints(search: SearchConfig, trial: FrozenTrial) -> dict[str, float]:
    """Of the configured constraints, those that the study knows of a trial."""
    return {name: missed for name, missed in trial.constraints.items() if name in search.constraints}


def _worst(search: SearchConfig, known: Sequence[_Known]) -> tuple[tuple[float, ...], dict[str, float]]:
    """The worst value for each objective, and the most that each constraint was missed by."""
    columns = zip(*(each.values for each in known), strict=True)
    values = tuple(
        (min if goal.direction == "max" else max)(column)
        for goal, column in zip(search.objectives, columns, strict=True)
    )
    return values, {name: max(each.constraints.get(name, 0.0) for each in known) for name in search.constraints}
