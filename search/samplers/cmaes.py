"""CMA-ES over the numbers that every trial has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from owkd.config import LearningSettings, SearchConfig
from search.space.entry import Space
from search.space.parameters import distributions

WARM_CMAES = 10
"""earlier trials that CMA-ES needs: it starts from the best tenth"""


class FixedCmaEsSampler(CmaEsSampler):
    """CMA-ES over the numbers that every trial has.

    Optuna's own infers them from the trials there are; one that changes its mind about their number after the first
    generation draws at random from then on.
    """

    def __init__(
        self,
        numbers: Mapping[str, BaseDistribution],
        startup_trials: int,
        seed: int,
        earlier: Sequence[FrozenTrial],
    ) -> None:
        source = [_only(trial, numbers) for trial in earlier]
        super().__init__(
            n_startup_trials=1 if source else startup_trials,
            warn_independent_sampling=False,
            seed=seed,
            source_trials=source or None,
        )
        self._numbers = dict(sorted(numbers.items()))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._numbers


def cmaes_sampler(search: SearchConfig, startup: int, seed: int, earlier: Sequence[FrozenTrial]) -> BaseSampler:
    """CMA-ES as configured, which starts from the best of the earlier trials."""
    return FixedCmaEsSampler(always_numbers(search.space), startup, seed, earlier)


def describe_cmaes(settings: LearningSettings) -> str:
    """What it does after its random trials, for people."""
    return "an evolution strategy that adapts its covariance"


def always_numbers(space: Space) -> dict[str, BaseDistribution]:
    unconditional = {path: entry for path, entry in space.items() if not entry.when}
    return {
        name: known
        for name, known in distributions(unconditional).items()
        if isinstance(known, FloatDistribution | IntDistribution) and not known.single()
    }


def _only(trial: FrozenTrial, names: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """The trial without the parameters that are not named."""
    return FrozenTrial(
        number=trial.number,
        trial_id=trial._trial_id,
        state=trial.state,
        value=trial.value,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params={name: value for name, value in trial.params.items() if name in names},
        distributions={name: known for name, known in trial.distributions.items() if name in names},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
