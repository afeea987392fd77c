"""What proposes trials: one fresh sampler for each, so that a proposal hangs on seed, trial number and history alone.

What a sampler must remember from trial to trial it keeps in the study (CMA-ES its distribution, NSGA-II its
generations), so that nothing is lost with the driver. What Optuna could change by default is pinned here.

| sampler | learns from                | where an entry has a condition                       |
|---------|----------------------------|------------------------------------------------------|
| tpe     | complete and pruned trials | models each group of entries that occur together     |
| gp      | complete and pruned trials | draws it at random, models what every trial has      |
| cmaes   | complete trials            | draws it at random, as it does choices               |
| nsga2   | complete trials            | draws it at random                                   |
| random  | nothing                    | draws it                                             |

`auto` is gp, whose proposals are the best where trials are few and dear (benchmarks/RESULTS.md), and tpe where gp would
draw at random, leave stopped trials out, or think for longer than a short trial trains.
"""

from __future__ import annotations

import warnings
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from owkd.config import SearchConfig
from search.samplers.gp import GaussianProcessSampler
from search.space.parameters import Space, distributions

WARM_CMAES = 10
"""earlier trials that CMA-ES needs: it starts from the best tenth"""

GP_TRIALS = 300
"""for how many trials `auto` is gp"""

STARTUP_TRIALS = {"gp": 3, "tpe": 10, "cmaes": 10}
"""where `search.sampler.startup_trials` is unset"""


def sampler_name(search: SearchConfig, number: int) -> str:
    """The sampler of the trial of that number: the configured one, or what `auto` means for it."""
    if search.sampler.name != "auto":
        return search.sampler.name
    conditional = any(entry.when for entry in search.space.values())
    return "tpe" if conditional or len(search.objectives) > 1 or number >= GP_TRIALS else "gp"


def startup_trials(search: SearchConfig, name: str) -> int:
    """Random trials before that sampler models anything."""
    return search.sampler.startup_trials or STARTUP_TRIALS[name]


def make_sampler(search: SearchConfig, number: int, earlier: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """The sampler of the trial of that number, which also knows complete trials of an `earlier` run."""
    chosen, space, name = search.sampler, search.space, sampler_name(search, number)
    seed = int(np.random.SeedSequence([chosen.seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # groups of TPE, and the start of CMA-ES
        match name:
            case "random":
                return RandomSampler(seed=seed)
            case "tpe":
                conditional = any(entry.when for entry in space.values())
                found: BaseSampler = TPESampler(
                    n_startup_trials=startup_trials(search, name),
                    n_ei_candidates=chosen.candidates,
                    multivariate=chosen.multivariate,
                    group=chosen.multivariate and conditional,
                    constant_liar=chosen.constant_liar,
                    seed=seed,
                )
            case "gp":
                found = GaussianProcessSampler(search, startup_trials(search, name), seed)
            case "cmaes":
                return _CmaEs(_always_numbers(space), startup_trials(search, name), seed, earlier)
            case "nsga2":
                found = NSGAIISampler(population_size=chosen.population, seed=seed)
    return WithHistory(found, earlier) if earlier else found


class WithHistory(BaseSampler):
    """A sampler that believes trials of an earlier run to be of this study: they are in no table and no count."""

    def __init__(self, inner: BaseSampler, earlier: Sequence[FrozenTrial]) -> None:
        self.inner = inner
        self._earlier = earlier

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(self._wiser(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(self._wiser(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.inner.sample_independent(self._wiser(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner.before_trial(self._wiser(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.inner.after_trial(self._wiser(study), trial, state, values)

    def _wiser(self, study: Study) -> Study:
        return _StudyWithHistory(study, self._earlier)


class _StudyWithHistory(Study):
    """The same study, with earlier trials before its own."""

    def __init__(self, study: Study, earlier: Sequence[FrozenTrial]) -> None:
        self.__dict__ = {**study.__dict__, "_earlier": list(earlier)}

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        earlier: list[FrozenTrial] = [
            trial for trial in self.__dict__["_earlier"] if states is None or trial.state in states
        ]
        return earlier + super()._get_trials(deepcopy, states, use_cache)


class _CmaEs(CmaEsSampler):
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


def _always_numbers(space: Space) -> dict[str, BaseDistribution]:
    unconditional = {path: entry for path, entry in space.items() if not entry.when}
    return {
        name: found
        for name, found in distributions(unconditional).items()
        if isinstance(found, FloatDistribution | IntDistribution) and not found.single()
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
        distributions={name: found for name, found in trial.distributions.items() if name in names},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
