"""The power of Welch's test: which lead so many seeds can detect, and how many seeds a lead takes.

For two settings of n seeds each, whose trainings are normal and spread alike (standard deviation sd), the statistic
t = lead / sqrt((s_1^2 + s_2^2) / n) follows Student's noncentral t with 2 (n - 1) degrees of freedom and noncentrality
lead / (sd * sqrt(2 / n)) (Johnson and Welch 1940). Welch's test does not compare it with that distribution's quantile
but with one of (n - 1) / (b^2 + (1 - b)^2) degrees of freedom, where b = s_1^2 / (s_1^2 + s_2^2) is independent of t
and follows Beta((n - 1) / 2, (n - 1) / 2). The power is therefore the noncentral t's, averaged over b: exact, also for
the three seeds at which leaving b out would promise 46 % of detections where there are 37 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, nctdtr, nctdtrinc, stdtrit

from search.power.looks import ERROR

POWER = 0.8
MOST_SEEDS = 10**6
POINTS = 64
"""quantiles of b that the average is taken over"""

Floats = NDArray[np.float64]


def noncentrality(degrees: float, power: float = POWER, error: float = ERROR) -> float:
    """How many standard errors a lead must be for a one-sided t-test of this `error` to show it with this `power`.

    degrees: those of the test, taken as known. Raises `ValueError` unless error < power < 1.
    """
    _check_power(power, error)
    return float(nctdtrinc(degrees, 1 - power, stdtrit(degrees, 1 - error)))


def detectable_lead(seeds: int, sd: float, power: float = POWER, error: float = ERROR) -> float:
    """The smallest true lead that `seeds` trainings of each setting show with probability `power`; in the unit of `sd`.

    sd: the standard deviation between trainings of one setting (each a mean over folds) on one test split. Raises
    `ValueError` for fewer than two seeds or a negative `sd`.
    """
    _check_power(power, error)
    _check(seeds, sd)
    quantiles = _quantiles(seeds, error)
    highest = noncentrality(seeds - 1, power, error) + 1  # as if Welch's degrees of freedom were at their least
    centre = brentq(lambda centre: _power(centre, seeds, quantiles) - power, 0.0, highest, xtol=1e-12)
    return sd * float(np.sqrt(2 / seeds) * centre)


def power_of(lead: float, seeds: int, sd: float, error: float = ERROR) -> float:
    """The probability that `seeds` trainings of each setting show a true `lead`; as `detectable_lead`, turned round."""
    _check(seeds, sd)
    if sd == 0:
        return 1.0 if lead > 0 else 0.0
    return _power(lead / (sd * float(np.sqrt(2 / seeds))), seeds, _quantiles(seeds, error))


def seeds_for_lead(smallest_lead: float = 0.02, *, sd: float, power: float = POWER, error: float = ERROR) -> int:
    """How many test seeds of each setting it takes for `detectable_lead` to be at most `smallest_lead`; at least 2.

    Raises `ValueError` when the lead is not above 0, or is so small that a million seeds would not do.
    """
    if smallest_lead <= 0:
        raise ValueError(f"smallest_lead must be above 0, but got {smallest_lead}")
    low, high = 1, 2
    while detectable_lead(high, sd, power, error) > smallest_lead:
        if high > MOST_SEEDS:
            raise ValueError(f"smallest_lead must be larger, but got {smallest_lead} for a spread of {sd}")
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if detectable_lead(middle, sd, power, error) > smallest_lead:
            low = middle
        else:
            high = middle
    return high


def _quantiles(seeds: int, error: float) -> Floats:
    """(POINTS,) what t must exceed in Welch's test, at equally likely values of b."""
    half = (seeds - 1) / 2
    share = betaincinv(half, half, (np.arange(POINTS) + 0.5) / POINTS)
    quantiles: Floats = stdtrit((seeds - 1) / (share**2 + (1 - share) ** 2), 1 - error)
    return quantiles


def _power(centre: float, seeds: int, quantiles: Floats) -> float:
    """Of a lead of so many standard errors."""
    return 1 - float(np.mean(nctdtr(2 * (seeds - 1), centre, quantiles)))


def _check_power(power: float, error: float) -> None:
    if not 0 < error < power < 1:
        raise ValueError(f"0 < error < power < 1 must hold, but got error={error} and power={power}")


def _check(seeds: int, sd: float) -> None:
    if seeds < 2 or not sd >= 0:
        raise ValueError(f"seeds >= 2 and sd >= 0 must hold, but got seeds={seeds} and sd={sd}")
