"""BoTorch's noisy expected improvement, qLogNEI (Ament et al. 2023), and qLogNEHVI with several objectives.

As Ax, its authors' own front end, uses it: the published setting and five Sobol points first; a Gaussian process with
dimension-scaled priors on standardised outcomes whose low outliers are winsorised; running trials as pending points. A
trial that was stopped counts as what it had reached. A choice is a column for each of its values, relaxed and rounded.
Of several objectives and what constraints name, each has a model of its own, operations by their logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor
from torch.quasirandom import SobolEngine

from benchmarks.landscapes import Landscape
from benchmarks.rivals.flat import FlatSpace
from benchmarks.rivals.virtual_time import Ask, Ended
from owkd.config import Config, parse_constraint

SOBOL = 5
RESTARTS, RAW, SAMPLES = 8, 256, 128
OUTLIER = 1.5
"""interquartile ranges below the lower quartile, as Tukey's rule has it"""


class BoTorchSearcher:
    """qLogNEI on one landscape, in the unit cube of its coordinates."""

    def __init__(self, land: Landscape, config: Config) -> None:
        self._seed = land.seed
        self._search = config.search
        self._space = FlatSpace(config)
        self._cube = UnitCube(self._space)
        self._sobol = SobolEngine(self._cube.size, scramble=True, seed=land.seed)
        self._running: dict[int, Tensor] = {}
        self._points: list[Tensor] = []
        self._told: list[list[float]] = []
        self._bounds = [parse_constraint(text) for text in config.search.constraints]

    def ask(self, number: int) -> Ask:
        if number == 0:
            point = self._cube.of(self._space.published)
        elif number <= SOBOL or len(self._points) < 2:
            point = self._cube.rounded(self._sobol.draw(1, dtype=torch.double)[0])
        else:
            point = self._proposal(number)
        self._running[number] = point
        return Ask(self._space.values(self._cube.coordinates(point)))

    def report(self, number: int, step: int, objective: float) -> bool:
        return True

    def tell(self, number: int, ended: Ended) -> None:
        self._points.append(self._running.pop(number))
        self._told.append([self._outcome(name, ended.told[name]) for name in self._names()])

    def _names(self) -> list[str]:
        return [*(goal.metric for goal in self._search.objectives), *(metric for metric, _, _ in self._bounds)]

    def _outcome(self, name: str, value: float) -> float:
        """More is better for objectives; what a constraint names is as it is."""
        if name == "flops":
            return -math.log10(value)
        return value

    def _proposal(self, number: int) -> Tensor:
        torch.manual_seed(1000 * self._seed + number)
        np.random.seed(1000 * self._seed + number)
        points, outcomes = torch.stack(self._points), _winsorised(torch.tensor(self._told, dtype=torch.double))
        models = [self._fitted(points, outcomes[:, [column]]) for column in range(outcomes.shape[1])]
        pending = torch.stack(list(self._running.values())) if self._running else None
        sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=number)
        shared: dict[str, Any] = {
            "X_baseline": points,
            "X_pending": pending,
            "sampler": sampler,
            "prune_baseline": True,
        }
        goals = len(self._search.objectives)
        if goals == 1:
            acquisition: Any = qLogNoisyExpectedImprovement(models[0], **shared)
        else:
            acquisition = qLogNoisyExpectedHypervolumeImprovement(
                ModelListGP(*models),
                ref_point=outcomes[:, :goals].min(dim=0).values,
                objective=IdentityMCMultiOutputObjective(outcomes=list(range(goals))),
                constraints=[self._constraint(index) for index in range(len(self._bounds))],
                **shared,
            )
        return self._cube.rounded(self._optimised(acquisition))

    def _constraint(self, index: int) -> Any:
        _, comparison, bound = self._bounds[index]
        column, sign = len(self._search.objectives) + index, 1.0 if comparison == "<=" else -1.0
        return lambda outcomes: sign * (outcomes[..., column] - bound)

    def _fitted(self, points: Tensor, outcome: Tensor) -> Any:
        model = SingleTaskGP(points, outcome)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model

    def _optimised(self, acquisition: Any) -> Tensor:
        corners = torch.tensor([[0.0], [1.0]], dtype=torch.double).repeat(1, self._cube.size)
        found, _ = optimize_acqf(acquisition, corners, q=1, num_restarts=RESTARTS, raw_samples=RAW)
        point: Tensor = found[0].detach()
        return point


class UnitCube:
    """Coordinates as columns from 0 to 1: one of each number, and one of each value of a choice."""

    def __init__(self, space: FlatSpace) -> None:
        self._known = space.distributions
        widths = [
            len(known.choices) if isinstance(known, CategoricalDistribution) else 1
            for known in space.distributions.values()
        ]
        self._starts = [sum(widths[:index]) for index in range(len(widths))]
        self.size = sum(widths)

    def of(self, coordinates: Mapping[str, Any]) -> Tensor:
        """Columns of a point."""
        columns: list[float] = []
        for name, known in self._known.items():
            value = coordinates[name]
            if isinstance(known, CategoricalDistribution):
                columns += [float(value == other) for other in known.choices]
            else:
                low, high, at = _scaled(known, value)
                columns.append((at - low) / (high - low))
        return torch.tensor(columns, dtype=torch.double)

    def coordinates(self, point: Tensor) -> dict[str, Any]:
        """The nearest that there are to these columns."""
        found: dict[str, Any] = {}
        for (name, known), start in zip(self._known.items(), self._starts, strict=True):
            if isinstance(known, CategoricalDistribution):
                found[name] = known.choices[int(point[start : start + len(known.choices)].argmax())]
            else:
                found[name] = _number(known, float(point[start]))
        return found

    def rounded(self, point: Tensor) -> Tensor:
        """The nearest point that there is."""
        return self.of(self.coordinates(point))


def _number(known: Any, share: float) -> float:
    low, high, _ = _scaled(known, known.low)
    at = low + min(max(share, 0.0), 1.0) * (high - low)
    value = float(min(max(math.exp(at) if known.log else at, known.low), known.high))
    if isinstance(known, IntDistribution):
        return known.low + round((value - known.low) / known.step) * known.step
    return value


def _scaled(known: Any, value: float) -> tuple[float, float, float]:
    """Both ends of a range and a value in it, on its scale."""
    low, high, at = (math.log(number) if known.log else float(number) for number in (known.low, known.high, value))
    return low, high, at


def _winsorised(outcomes: Tensor) -> Tensor:
    """Columns whose low outliers are drawn in, so that a diverged trial does not flatten the rest."""
    low, high = outcomes.quantile(0.25, dim=0), outcomes.quantile(0.75, dim=0)
    return outcomes.maximum(low - OUTLIER * (high - low))
