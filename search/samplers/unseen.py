"""In a finite space: no point is proposed twice as long as there are others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.space.conditions import every_point, is_searched, parents_first
from search.space.entries import entries
from search.space.entry import Space, point_key
from search.space.parameters import distributions

VALUES = "values"
"""the user attribute that holds a trial's values by dotted path"""


class UnseenPoints(BaseSampler):
    """A sampler whose proposal is exchanged for an unseen point where a trial has it already, uniformly drawn."""

    def __init__(self, inner: BaseSampler, space: Space, points: Sequence[Mapping[str, Any]], seed: int) -> None:
        self.inner = inner
        self._space = space
        self._points = points
        self._rng = np.random.default_rng(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return distributions(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        others = (other for other in study.get_trials(deepcopy=False) if other.number != trial.number)
        seen = {point_key(other.user_attrs[VALUES]) for other in others if VALUES in other.user_attrs}
        params, values = self._proposed(study, trial)
        if point_key(values) not in seen:
            return params
        unseen = [point for point in self._points if point_key(point) not in seen]
        return self._params(unseen[self._rng.integers(len(unseen))]) if unseen else params

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self.inner.after_trial(study, trial, state, values)

    def _proposed(self, study: Study, trial: FrozenTrial) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the inner sampler would propose: Optuna's parameters, and values by path."""
        joint = self.inner.sample_relative(study, trial, self.inner.infer_relative_search_space(study, trial))
        known = entries(self._space)
        params: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for path in parents_first(self._space):
            if not is_searched(known[path], values):
                continue
            for name, distribution in known[path].distributions().items():
                if name in joint:
                    params[name] = joint[name]
                else:
                    params[name] = self.inner.sample_independent(study, trial, name, distribution)
            values[path] = known[path].resolve(params)
        return params, values

    def _params(self, point: Mapping[str, Any]) -> dict[str, Any]:
        known = entries(self._space)
        return {name: value for path in point for name, value in known[path].nearest(point[path]).items()}


def unseen_points(sampler: BaseSampler, space: Space, seed: int) -> BaseSampler:
    """The sampler; in a space whose points can be named, one that proposes no known point while others are left."""
    points = every_point(space)
    return sampler if points is None else UnseenPoints(sampler, space, points, seed)
