"""How many test seeds a final stage has, and what they can show.

`retrain.seeds` says how many; where it is unset, the number follows from power: the fewest with which the first look
shows `retrain.smallest_lead` with a probability of 80 %, when a training's test mAP spreads as `retrain.spread` says. A
figure is a mean over folds, whose luck is taken as independent: its spread is that of a training / sqrt(folds).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from owkd.config import SPREAD, Config
from search.power.looks import FIRST_LOOK

MOST_BY_DEFAULT = 40
"""seeds that are trained without being asked for"""


@dataclass(frozen=True)
class SeedCount:
    """The test seeds of a configuration, and what they can show. Leads and spreads are fractions, not points.

    Attributes:
        seeds: of each setting, on each fold
        configured: whether `retrain.seeds` says so, or they follow
        wanted: seeds that `smallest_lead` takes
        detectable: the lead that `seeds` show with 80 %; None for a single one, which allows no test
        spread: standard deviation of a training's test mAP on one fold, that these figures rest on
    """

    seeds: int
    configured: bool
    wanted: int
    detectable: float | None
    smallest_lead: float
    spread: float

    @property
    def enough(self) -> bool:
        """Whether the smallest lead is shown with 80 %."""
        return self.seeds >= self.wanted


def number_of_seeds(config: Config) -> int:
    """The test seeds of the first look, on each fold."""
    return config.retrain.seeds or min(MOST_BY_DEFAULT, _wanted(config, config.retrain.spread or SPREAD))


def seed_count(config: Config, spread: float | None = None) -> SeedCount:
    """What the configured seeds can show when trainings spread by `spread`; as configured when unset."""
    from search.power.welch import detectable_lead

    retrain, seeds = config.retrain, number_of_seeds(config)
    believed = spread or retrain.spread or SPREAD
    return SeedCount(
        seeds=seeds,
        configured=retrain.seeds is not None,
        wanted=_wanted(config, believed),
        detectable=detectable_lead(seeds, _of_figures(config, believed), error=FIRST_LOOK) if seeds > 1 else None,
        smallest_lead=retrain.smallest_lead,
        spread=believed,
    )


def _wanted(config: Config, spread: float) -> int:
    return _fewest(config.retrain.smallest_lead, _of_figures(config, spread))


@lru_cache
def _fewest(lead: float, sd: float) -> int:
    from search.power.welch import seeds_for_lead

    return seeds_for_lead(lead, sd=sd, error=FIRST_LOOK)


def _of_figures(config: Config, spread: float) -> float:
    """The spread of means over the folds of the final stage."""
    return float(spread / len(config.retrain.folds or config.data.folds) ** 0.5)
