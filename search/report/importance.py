"""Which searched quantities mattered: PED-ANOVA (Watanabe, Bansal, Hutter 2023) as Optuna computes it.

A simplex is measured by its weights, under their names, not by the variables that Optuna draws it from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState, create_trial

from search.report.gather import RunData, param
from search.results.schema import Row
from search.space import Space, entry_of_column
from search.trials.view import NO_DISTILLATION_NAME

FEWEST = 10
"""complete trials below which a tenth of them is too few"""


def importances(data: RunData) -> dict[str, float]:
    """Share of each searched column, summing to 1, largest first; empty where there are too few complete trials.

    Columns that are not set in every complete trial (conditional ones, learned stage weights of the published setting)
    are measured on the trials that have all of them; those that are never set, or never vary, are left out, and so is
    training without distillation, which is no point of the space.
    """
    rows, names = comparable(data)
    if len(rows) < FEWEST or not names:
        return {}
    most = data.config.search.objectives[0].direction == "max"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize" if most else "minimize")
    space = data.config.search.space
    distributions = {name: _distribution(space, name, [param(row, name) for row in rows]) for name in names}
    for row in rows:
        params = {name: _expressed(distributions[name], param(row, name)) for name in names}
        study.add_trial(
            create_trial(params=params, distributions=distributions, value=row["objective"], state=TrialState.COMPLETE)
        )
    shares = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name: share for name, share in shares.items() if math.isfinite(share)}


def comparable(data: RunData) -> tuple[list[Row], list[str]]:
    """The complete trials that importance rests on, and the columns that vary among them."""
    rows = [row for row in data.complete if row["objective"] is not None and row["fixed"] != NO_DISTILLATION_NAME]
    names = [name for name in data.params if len({str(param(row, name)) for row in rows if _set(row, name)}) > 1]
    return [row for row in rows if all(_set(row, name) for name in names)], names


def _set(row: Row, name: str) -> bool:
    return param(row, name) is not None


def _distribution(space: Space, name: str, values: Sequence[Any]) -> BaseDistribution:
    entry = entry_of_column(space, name)
    assert entry is not None, name
    return entry.importance_distribution(values)


def _expressed(distribution: BaseDistribution, value: Any) -> Any:
    return str(value) if isinstance(distribution, CategoricalDistribution) else value
