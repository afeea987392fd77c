"""The history that samplers learn from: a study without its hidden trials, and with those of an earlier run."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from owkd.config import SearchConfig
from search.space.entry import Space
from search.space.parameters import distributions
from search.trials.objective import violations

HIDDEN = "hidden"
"""the user attribute of a trial that samplers do not see: what ran is no point of the space, nor near to one"""


class SampledStudy(Study):
    """A study as samplers see it: its trials that are not hidden nor `left_out`, and `earlier` ones before them."""

    def __init__(
        self, study: Study, earlier: Sequence[FrozenTrial] = (), left_out: Collection[int] | None = None
    ) -> None:
        """`left_out`: numbers of trials; those of `study` where unset"""
        outside = study.__dict__.get("_left_out", ()) if left_out is None else left_out
        self.__dict__ = {**study.__dict__, "_earlier": list(earlier), "_left_out": frozenset(outside)}

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        earlier: list[FrozenTrial] = self.__dict__["_earlier"]
        left_out: frozenset[int] = self.__dict__["_left_out"]
        own = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in earlier if states is None or trial.state in states] + [
            trial for trial in own if not trial.user_attrs.get(HIDDEN) and trial.number not in left_out
        ]


class WithHistory(BaseSampler):
    """A sampler that believes trials of an earlier run to be of this study: they are in no table and no count."""

    def __init__(self, inner: BaseSampler, earlier: Sequence[FrozenTrial]) -> None:
        self.inner = inner
        self._earlier = earlier

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(self._with_history(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(self._with_history(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.inner.sample_independent(self._with_history(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner.before_trial(self._with_history(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.inner.after_trial(self._with_history(study), trial, state, values)

    def _with_history(self, study: Study) -> Study:
        return SampledStudy(study, self._earlier)


def with_history(sampler: BaseSampler, earlier: Sequence[FrozenTrial]) -> BaseSampler:
    """The sampler, with the trials of an earlier run where there are any."""
    return WithHistory(sampler, earlier) if earlier else sampler


def earlier_trials(points: Sequence[Mapping[str, Any]], search: SearchConfig) -> list[FrozenTrial]:
    """The points as complete trials of Optuna; a parameter that the space of now cannot express is left out."""
    known = distributions(search.space)
    trials = []
    for point in points:
        params = {name: value for name, value in point["params"].items() if name in known and _fits(known[name], value)}
        trial = create_trial(
            params=params,
            distributions={name: known[name] for name in params},
            values=[point["values"][goal.metric] for goal in search.objectives],
            # without them, a sampler would take the trial for one that misses every constraint
            constraints=violations(search, point["values"]),
        )
        trials.append(trial)
    return trials


def is_outside(trial: FrozenTrial, space: Space) -> bool:
    """Whether a trial is no point of a space that was changed: a parameter is too many, missing or out of its range."""
    known = distributions(space)
    always = distributions({path: entry for path, entry in space.items() if not entry.when})
    if not always.keys() <= trial.params.keys() <= known.keys():
        return True
    return not all(_fits(known[name], value) for name, value in trial.params.items())


def _fits(known: optuna.distributions.BaseDistribution, value: Any) -> bool:
    try:
        return known._contains(known.to_internal_repr(value))
    except ValueError:
        return False
