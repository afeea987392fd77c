"""A Gaussian process of this field's level, as what proposes trials. What it is made of is `search/samplers/model/`.

A proposal is where the logarithm of the expected improvement is highest: over the best objective, and with several over
the volume that they dominate. It counts as far as all constraints are likely to hold. Points under way are believed to
come to what the model expects of them.

One proposal in sixteen is drawn at random all the same: a model may be wrong in the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from owkd.config import LearningSettings, SearchConfig
from search.samplers.history import with_history
from search.samplers.model.acquisition import Acquisition, climb
from search.samplers.model.beliefs import Beliefs, beliefs
from search.samplers.model.once import OncePerTrial
from search.samplers.model.outcomes import OVER
from search.samplers.model.points import points_of

ONE_IN = 16
"""proposals: one is random"""
AROUND = 5
"""best known points around which is searched as well"""

Array = NDArray[np.float64]


class GaussianProcessSampler(BaseSampler):
    """Proposes what improves most in expectation, after `startup` trials that are over."""

    def __init__(self, search: SearchConfig, startup: int, seed: int) -> None:
        self._search = search
        self._startup = startup
        self._seed = seed
        self._random = RandomSampler(seed=seed)
        self._points = points_of(search.space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._points.params

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        trials = study.get_trials(deepcopy=False)
        over = in_order([each for each in trials if each.state in OVER])
        if not len(self._points.choices) or len(over) < self._startup or trial.number % ONE_IN == ONE_IN - 1:
            return {}
        known = beliefs(self._search, self._points, over)
        if known is None:
            return {}
        running = [each.params for each in trials if each.state == TrialState.RUNNING and each.number != trial.number]
        return self._points.to_params(self._best(known, [self._points.of(params) for params in running if params]))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _best(self, known: Beliefs, running: Sequence[Array]) -> Array:
        """Genes of the next trial."""
        rng = np.random.default_rng(self._seed)
        now = known.believing(self._points.features(np.array(running))) if running else known
        worth = Acquisition(known, now, known.features, rng)
        top = known.genes[np.argsort(-worth.level, kind="stable")[:AROUND]]
        return climb(lambda genes: worth(self._points.features(genes)), top, self._points.choices, rng)


def in_order(over: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials in the order in which they ended, those of an earlier run first."""
    places = _PLACES.of(over)
    return [over[i] for i in sorted(range(len(over)), key=places.__getitem__)]


def _place(trial: FrozenTrial) -> tuple[bool, float, int]:
    """By which trials are sorted."""
    ended = trial.datetime_complete
    own = trial.number >= 0 and ended is not None
    return own, ended.timestamp() if own and ended else 0.0, trial.number


_PLACES = OncePerTrial(_place)


def gp_sampler(search: SearchConfig, startup: int, seed: int, earlier: Sequence[FrozenTrial]) -> BaseSampler:
    """The Gaussian process as configured."""
    return with_history(GaussianProcessSampler(search, startup, seed), earlier)


def describe_gp(settings: LearningSettings) -> str:
    """What it does after its random trials, for people."""
    return f"what a Gaussian process expects most of, and one in {ONE_IN} at random"
