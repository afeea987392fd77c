"""Trainings that are formulas: learning curves with a known optimum, for comparing searchers in minutes.

contract.py      what every landscape promises
distillation.py  weights, coefficients and a learning rate, with curves that cross
conflict.py      tasks that want different weights, in loud noise
valley.py        a narrow valley that no axis runs along
deceptive.py     early leaders that lose
conditional.py   twelve parameters, with choices and conditions
folds.py         three folds of unequal difficulty
costs.py         two objectives and a constraint

None was made for, or adjusted to, a searcher. Their seeds 0 to 99 are for choosing, those from 100 on for reporting.
"""

from benchmarks.landscapes.conditional import Conditional
from benchmarks.landscapes.conflict import Conflict
from benchmarks.landscapes.contract import Landscape, Values
from benchmarks.landscapes.costs import Costs
from benchmarks.landscapes.deceptive import Deceptive
from benchmarks.landscapes.distillation import Distillation
from benchmarks.landscapes.folds import Folds
from benchmarks.landscapes.valley import Valley

LANDSCAPES: dict[str, type[Landscape]] = {
    "distillation": Distillation,
    "conflict": Conflict,
    "valley": Valley,
    "deceptive": Deceptive,
    "conditional": Conditional,
    "folds": Folds,
    "costs": Costs,
}

__all__ = ["LANDSCAPES", "Landscape", "Values"]
