"""How many epochs a search is likely to spend, before it spends any: by asynchronous successive halving (Li et al.
2020), or without any scheduler.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from owkd.config import SchedulerConfig


def halving_steps(values: Sequence[float], *, longest: int, grace: int, factor: int, fixed: int = 0) -> list[int]:
    """Steps that each trial runs when they come one after the other with these values, the same at every step.

    The rule is Ray's: at steps grace, grace x factor, ... a trial continues unless it is below the (1 - 1/factor)
    quantile of those that were there before it; the first always continues, and so do the first `fixed`.
    """
    rungs = []
    step = grace
    while step < longest:
        rungs.append(step)
        step *= factor
    seen: dict[int, list[float]] = {rung: [] for rung in rungs}
    steps = []
    for number, value in enumerate(values):
        ran = longest
        for rung in rungs:
            before = seen[rung]
            stopped = number >= fixed and bool(before) and value < _quantile(before, 1 - 1 / factor)
            insort(before, value)
            if stopped:
                ran = rung
                break
        steps.append(ran)
    return steps


def expected_steps(trials: int, *, longest: int, grace: int, factor: int, fixed: int = 0, orders: int = 50) -> float:
    """Mean of `sum(halving_steps)` over random orders of trials that keep their ranks from step to step.

    An estimate: ranks change while trainings run, trials run side by side, and a good sampler makes later trials
    better, each of which lets more of them continue.
    """
    rng = np.random.default_rng(0)
    rule = {"longest": longest, "grace": grace, "factor": factor, "fixed": fixed}
    return fmean(sum(halving_steps(rng.permutation(trials).tolist(), **rule)) for _ in range(orders))


def expected_epochs(scheduler: SchedulerConfig, trials: int, longest: int, *, fixed: int = 0) -> float | None:
    """Epochs of so many trials of at most `longest` under a scheduler that stops none of the first `fixed`.

    None where there is no estimate.
    """
    match scheduler.name:
        case "none":
            return float(trials * longest)
        case "asha":
            grace, factor = scheduler.grace_epochs, scheduler.reduction_factor
            return expected_steps(trials, longest=longest, grace=grace, factor=factor, fixed=fixed)
        case _:
            return None


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between neighbours, as numpy's percentile."""
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))
