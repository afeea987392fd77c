"""The champion's lead over another setting with its interval, for two claims that need different samples.

    on this test split    trainings are the sample: the same people once more, other seeds
    for people            trainings and identities are: other people of this kind, other seeds, the same training images

Both are t intervals, difference -+ t(df) * se, with Satterthwaite's degrees of freedom (1946), V^2 / sum(V_j^2 / df_j)
for a variance V that is put together from independent parts V_j. Each setting's seeds are a sample of their own
(Welch 1947), never paired: docs/decisions.md has why, and the simulations that chose these formulas.

Legend, k being one of the two settings
    S_k       seeds, each trained on every fold      I    identities, whichever folds they are in
    m_k[s]    the mean over queries, then folds      u_k[s, i]    identity i's part in m_k[s] (`Scores.influences`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from search.power import ERROR
from search.power.welch import noncentrality
from search.retrain.claims.scores import Scores

NO_SPREAD = 1e-9
"""a standard error below this is rounding: nothing is left to test against"""


@dataclass(frozen=True)
class Lead:
    """How far the champion is ahead of another setting in one metric. Figures are fractions, not points.

    Attributes:
        champion: mean over folds and seeds
        seeds: trainings of the champion and of the other on each fold
        identities: sampled identities; None where the test split is as it is
        error: one-sided
        standard_error: of the difference; None where no test is possible, and so are the four below
        p_value: one-sided, for "the champion is not above"
    """

    champion: float
    other: float
    seeds: tuple[int, int]
    folds: int
    identities: int | None
    error: float
    standard_error: float | None = None
    degrees: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None

    @property
    def difference(self) -> float:
        """Champion - other."""
        return self.champion - self.other

    @property
    def is_above(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low is not None and self.low > 0

    @property
    def is_below(self) -> bool:
        """Whether the whole interval is below 0."""
        return self.high is not None and self.high < 0

    def detectable(self, power: float = 0.8) -> float | None:
        """The smallest true lead that a run of this spread shows with this probability."""
        if self.standard_error is None or self.degrees is None:
            return None
        return self.standard_error * noncentrality(self.degrees, power, self.error)


def lead_on_split(champion: Scores, other: Scores, error: float = ERROR) -> Lead:
    """On this test split, over the luck of training: Welch's t-test of the seeds' means over folds."""
    lead = _untested(champion, other, None, error)
    variances = [_seed_variance(scores) for scores in (champion, other)]
    return _tested(lead, sum(variances), [(v, n - 1) for v, n in zip(variances, lead.seeds, strict=True)])


def lead_for_people(champion: Scores, other: Scores, error: float = ERROR) -> Lead:
    """For people of this kind: identities, with all their queries, and trainings are sampled together.

    V = V_identities + sum_k V_seeds,k - sum_k V_residual,k, as for clusters in two ways (Cameron, Gelbach and Miller
    2011): what one training does to one identity is in both of the first two, and is counted once. Rounding and luck
    never take V below either of them. An identity that several folds test is one identity.

    Raises `ValueError` when the two were not tested on the same queries.
    """
    if len(champion.values) != len(other.values) or not all(map(np.array_equal, champion.identities, other.identities)):
        raise ValueError("both settings must have been tested on the same queries, but their identities differ")
    ours, theirs = champion.influences(), other.influences()
    identities = ours.shape[1]
    lead = _untested(champion, other, identities, error)
    if identities < 2 or min(lead.seeds) < 2:
        return lead
    spread = identities / (identities - 1)
    across = spread * float(np.square(ours.mean(0) - theirs.mean(0)).sum())
    seeds = [_seed_variance(scores) for scores in (champion, other)]
    residuals = [spread * float(part.var(0, ddof=1).sum()) / len(part) for part in (ours, theirs)]
    variance = max(across + sum(seeds) - sum(residuals), across, sum(seeds))
    degrees = [n - 1 for n in lead.seeds]
    parts = [(across, identities - 1), *zip(seeds, degrees, strict=True)]
    parts += [(v, df * (identities - 1)) for v, df in zip(residuals, degrees, strict=True)]
    return _tested(lead, variance, parts)


def _untested(champion: Scores, other: Scores, identities: int | None, error: float) -> Lead:
    means = (float(champion.per_seed.mean()), float(other.per_seed.mean()))
    return Lead(*means, (len(champion.seeds), len(other.seeds)), len(champion.values), identities, error)


def _seed_variance(scores: Scores) -> float:
    """Of the mean over seeds; 0 for a single one."""
    seeds = len(scores.seeds)
    return float(scores.per_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0


def _tested(lead: Lead, variance: float, parts: Sequence[tuple[float, int]]) -> Lead:
    """The lead with its interval; `parts` are variances with the degrees of freedom that each was measured with."""
    error = variance**0.5
    if min(lead.seeds) < 2 or error < NO_SPREAD:
        return lead
    degrees = variance**2 / sum(part**2 / df for part, df in parts)
    half = float(stdtrit(degrees, 1 - lead.error)) * error
    p_value = float(stdtr(degrees, -lead.difference / error))
    low, high = lead.difference - half, lead.difference + half
    return replace(lead, standard_error=error, degrees=degrees, low=low, high=high, p_value=p_value)
