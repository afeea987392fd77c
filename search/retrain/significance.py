"""Is the champion better than a baseline, or was it lucky: a paired t-test over models of equal fold and seed.

Two models of equal fold and seed saw the same images from the same first weights in the same order, so the test is on
their differences d_1 ... d_n: t = mean(d) / (s / sqrt(n)) with n - 1 degrees of freedom (Student 1908), s being their
sample standard deviation. Both baselines are compared with the champion, so the p-values of a metric are adjusted for
two looks (Holm 1979). What no formula mends: folds share people and seeds share data, so the pairs are not independent,
and the true uncertainty is larger than interval and p-value say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

LEVEL = 0.95
"""of the confidence interval; a p-value above 1 - LEVEL is called chance"""

METHOD = "paired t-test (scipy.stats.ttest_rel)"
ADJUSTMENT = "Holm"
CAVEAT = (
    f"{METHOD[0].upper()}{METHOD[1:]} over models of equal fold and seed; p is adjusted for the number of baselines "
    f"({ADJUSTMENT}), the interval is not. Folds share people and seeds share data: the pairs are not independent, and "
    "the true uncertainty is larger than these figures say."
)

NO_SPREAD = 1e-9
"""a standard deviation of the differences below this is rounding: nothing is left to test against"""

Pair = tuple[str, int]
"""fold and seed"""


@dataclass(frozen=True)
class PairedTest:
    """The champion against one baseline in one metric, as metrics.json holds it. Numbers are fractions.

    Attributes:
        pairs: models of equal fold and seed that both have; at least 1
        champion: mean over the pairs
        other: the baseline's
        difference: champion - other
        high: the confidence interval of the difference; None where no test is possible
        p_value: two-sided; None where no test is possible
        adjusted: `p_value` after `holm`
    """

    baseline: str
    metric: str
    pairs: int
    champion: float
    other: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    adjusted: float | None = None

    def in_words(self, baseline: str) -> str:
        """One sentence. `baseline` is its name within it."""
        size = 100 * abs(self.difference)
        where = "above" if self.difference > 0 else "below"
        stands = f"{size:.1f} points {where}" if size >= 0.05 else "equal to"
        lead = f"The champion's test {self.metric} is {stands} that of {baseline}"
        if self.low is None or self.high is None or self.adjusted is None:
            why = "one pair" if self.pairs == 1 else f"{self.pairs} pairs without any spread between them"
            return f"{lead}; {why}: no test is possible."
        lead += f" ({LEVEL:.0%} interval {points(self.low)} to {points(self.high)})".replace("%", " %")
        if self.adjusted > 1 - LEVEL and size < 0.05:
            return f"{lead}; {self.pairs} pairs show no difference ({p_text(self.adjusted)})."
        if self.adjusted > 1 - LEVEL:
            return f"{lead}; with {self.pairs} pairs this could be chance ({p_text(self.adjusted)})."
        return f"{lead}; over {self.pairs} pairs, chance alone is unlikely to do this ({p_text(self.adjusted)})."


def paired_test(
    baseline: str, metric: str, champion_values: Mapping[Pair, float], baseline_values: Mapping[Pair, float]
) -> PairedTest | None:
    """The test over the pairs that both have; None where there is none."""
    from scipy.stats import ttest_rel  # a second of imports, for the end of a run alone

    shared = sorted(champion_values.keys() & baseline_values.keys())
    if not shared:
        return None
    ours, theirs = [champion_values[pair] for pair in shared], [baseline_values[pair] for pair in shared]
    differences = [our - their for our, their in zip(ours, theirs, strict=True)]
    means = fmean(ours), fmean(theirs), fmean(differences)
    if len(shared) < 2 or stdev(differences) < NO_SPREAD:
        return PairedTest(baseline, metric, len(shared), *means, None, None, None)
    result = ttest_rel(ours, theirs)
    interval = result.confidence_interval(LEVEL)
    low, high, p_value = float(interval.low), float(interval.high), float(result.pvalue)
    return PairedTest(baseline, metric, len(shared), *means, low, high, p_value)


def adjust_p_values(tests: Sequence[PairedTest]) -> tuple[PairedTest, ...]:
    """The same tests with p-values adjusted for how many baselines each metric was compared with."""
    adjusted = list(tests)
    for metric in {test.metric for test in tests}:
        tested = [i for i, test in enumerate(tests) if test.metric == metric and test.p_value is not None]
        values = holm([tests[i].p_value or 0.0 for i in tested])
        for i, value in zip(tested, values, strict=True):
            adjusted[i] = replace(tests[i], adjusted=value)
    return tuple(adjusted)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: the k-th smallest of m times m - k + 1, never below an earlier one, at most 1."""
    adjusted = [math.nan] * len(p_values)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted


def points(fraction: float) -> str:
    """A difference for people, in points: `+0.3`, `-1.2`; what rounds to nothing is `+0.0`."""
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"


def p_text(p_value: float) -> str:
    """For people: `p = 0.21`, `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
