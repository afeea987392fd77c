"""Whether a trial that has seen some of its parts can still be as good as the best: a race against complete trials.

A trial is behind the leader by its *disadvantage*: what is expected of the leader on the parts seen, its mean over all
parts plus what these parts are easier, minus what the trial had there. The leader's own value on the first part is not
asked, since a leader is often one that was lucky there.

The leader is also the best of many, and so the luckiest. Dunnett's one-sided quantile (1955), which is about a maximum,
accounts for it: were the trial exactly as good as all complete ones, its disadvantage to the best of them would exceed
`reach` in `ERROR` of the races, all looks of a race together. With fewer rivals as good, it does so less often. The
complete ones are those that no race stopped, and so a little luckier than the rest: of a whole search's equally good
settings up to twice as many are given up (`tests/search/luck/test_race.py` counts them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
from scipy import optimize, special, stats

from search.luck.noise import FEWEST, Noise, Rows

ERROR = 0.025
"""of a race, all of its looks together: half of what a two-sided interval of 95 % leaves out"""
NODES = 64
"""of each numerical integral"""


@dataclass(frozen=True)
class Standing:
    """A trial after some of its parts, against the leader.

    Attributes:
        disadvantage: to the leader, in units of the objective
        reach: the most that luck explains
    """

    disadvantage: float
    reach: float

    @property
    def is_hopeless(self) -> bool:
        """Whether the interval of the disadvantage, from its value minus `reach` upwards, excludes 0."""
        return self.disadvantage > self.reach


def standing(rivals: Rows, leader: Sequence[float], seen: Sequence[float], noise: Noise | None) -> Standing | None:
    """Where a trial with the values `seen` stands against the `leader`, one of the complete `rivals`.

    rivals, leader: the value on each part. None as long as too few are complete for an estimate.
    """
    parts, number = len(leader), len(seen)
    whole = [row for row in rivals if len(row) == parts]
    if noise is None or len(whole) < FEWEST or not 0 < number < parts or len(noise.effects) != parts:
        return None
    expected = fmean(leader) + fmean(noise.effects[:number])
    quantile = largest_lead(len(whole), number, parts, noise.degrees)
    return Standing(expected - fmean(seen), noise.sd * quantile)


@cache
def largest_lead(rivals: int, seen: int, parts: int, degrees: int) -> float:
    """The lead of the best of `rivals` equally good complete trials over one more, in estimated standard deviations of
    a training, that chance exceeds with `ERROR / (parts - 1)`.

    With Z standard normal and s the estimate over the truth, it is q in P(max b Z_i + a Z_0 > q s), where b^2 = 1 /
    parts belongs to a rival's mean and a^2 = 1 / seen to the trial's, plus what the parts' effects are uncertain by.
    """
    own = (1 / seen + (1 / seen - 1 / parts) / rivals) ** 0.5
    nodes, weights = special.roots_hermitenorm(NODES)
    weights = weights / weights.sum()
    ratios = np.sqrt(stats.chi2.ppf((np.arange(NODES) + 0.5) / NODES, degrees) / degrees)

    def excess(quantile: float) -> float:
        below = special.ndtr((quantile * ratios[:, None] - own * nodes) * parts**0.5) ** rivals
        return float((below @ weights).mean()) - (1 - ERROR / (parts - 1))

    return float(optimize.brentq(excess, 0.0, 1e4))
