"""What a pilot found: how far trainings of one setting differ by luck, and what that means for the test seeds.

The spread is the pooled standard deviation of validation mAP over seeds, s^2 = sum (n_k - 1) s_k^2 / sum (n_k - 1) over
the settings k; its interval is that of a variance of normal figures, s * sqrt(df / chi2(df)). Validation stands in for
the test split, which stays closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from owkd.config import Config
from owkd.errors import UserError
from search.pilot.models import pilot_digests
from search.runs.damage import read_json, reading, write_json
from search.runs.inputs import anchored
from search.runs.manifest import open_run
from search.storage.address import Address

METRIC = "val/mAP"
FILE = "pilot.json"
LEVEL = 0.95
FEWEST_PAIRS = 4
"""equal seeds below which a correlation has no interval (Fisher 1921)"""


class Interval(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Pilot:
    """What a pilot measured, as its pilot.json has it.

    Attributes:
        run: where it lies
        figures: validation mAP by setting and seed, of the models that could be trained; seeds as text
        digests: by setting, what its numbers depend on
    """

    run: str
    fold: str
    ended_at: str
    figures: Mapping[str, Mapping[str, float]]
    digests: Mapping[str, str]

    def of(self, setting: str) -> list[float]:
        """Figures of one setting, by ascending seed."""
        own = self.figures.get(setting, {})
        return [own[seed] for seed in sorted(own, key=int)]

    def is_of(self, config: Config) -> bool:
        """Whether this configuration's models would be trained as the pilot's were."""
        return pilot_digests(anchored(config, config.name)) == self.digests

    @property
    def degrees(self) -> int:
        """With which the spread was measured; 0 where no setting has two seeds."""
        return sum(max(0, len(own) - 1) for own in self.figures.values())

    @property
    def spread(self) -> Interval:
        """Standard deviation of one training's figure. Raises `ValueError` without any degree of freedom."""
        from scipy.stats import chi2

        df = self.degrees
        if df < 1:
            raise ValueError("a spread must have two seeds of a setting, but there are none")
        squares = sum(float(np.var(own) * len(own)) for own in map(self.of, self.figures) if own)
        value = float(np.sqrt(squares / df))
        low, high = (float(np.sqrt(squares / chi2.ppf(tail, df))) for tail in ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
        return Interval(value, low, high)

    def correlation(self) -> Interval | None:
        """Of the two settings over equal seeds, by Fisher's transform; None with fewer than four seeds."""
        shared = sorted(set.intersection(*(set(own) for own in self.figures.values()))) if self.figures else []
        if len(self.figures) != 2 or len(shared) < FEWEST_PAIRS:
            return None
        both = np.array([[own[seed] for seed in shared] for own in self.figures.values()])
        if not both.std(axis=1).all():
            return None
        r = float(np.clip(np.corrcoef(both)[0, 1], -1 + 1e-12, 1 - 1e-12))
        half = 1.959964 / (len(shared) - 3) ** 0.5
        return Interval(r, float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half)))

    def difference(self, first: str, second: str) -> Interval | None:
        """How far one setting is above the other, with Welch's interval; None where one has fewer than two seeds."""
        from scipy.stats import ttest_ind

        ours, theirs = self.of(first), self.of(second)
        if min(len(ours), len(theirs)) < 2 or not np.std(ours) + np.std(theirs):
            return None
        low, high = ttest_ind(ours, theirs, equal_var=False).confidence_interval(LEVEL)
        return Interval(float(np.mean(ours) - np.mean(theirs)), float(low), float(high))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for pilot.json and for scripts: what was measured, then what follows from it."""
        settings: Sequence[str] = list(self.figures)
        difference = self.difference(settings[0], settings[1]) if len(settings) == 2 else None
        derived = {"spread": self.spread, "correlation": self.correlation(), "difference": difference}
        return {
            **asdict(self),
            "metric": METRIC,
            "degrees_of_freedom": self.degrees,
            **{name: found and found._asdict() for name, found in derived.items()},
        }

    def write(self, folder: Path) -> None:
        """Into the folder of its run."""
        write_json(folder / FILE, self.to_dict())

    @classmethod
    def read(cls, folder: Path) -> Pilot | None:
        """What a run's folder holds; None where no pilot has ended yet."""
        path = folder / FILE
        if not path.is_file():
            return None
        with reading(path):
            tree = read_json(path)
            return cls(**{name: tree[name] for name in cls.__dataclass_fields__})


def pilot_address(config: Config, runs: Address | Path | str) -> Address:
    """Where the pilot of a search lies: beside its run."""
    return Address.of(runs) / f"{config.name}-pilot"


def find_pilot(config: Config, runs: Address | Path | str) -> Pilot | None:
    """The pilot that was made for a search of this name, if there is one that can be read."""
    address = pilot_address(config, runs)
    try:
        folder, _, _ = open_run(address, only=(FILE,))
        pilot = Pilot.read(folder.root)
    except UserError:
        return None
    return pilot and replace(pilot, run=str(address))
