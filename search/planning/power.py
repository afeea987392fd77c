"""What the final stage will be able to show: which lead, with how many test seeds, and what that rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from owkd.config import Config
from owkd.formatting import format_count
from search.pilot import Pilot
from search.power import FIRST_LOOK, MOST_BY_DEFAULT, SeedCount, seed_count
from search.retrain.claims.words import points

SpreadFrom = Literal["default", "configuration", "pilot"]


@dataclass(frozen=True)
class PlannedPower:
    """The power of the first look, as far as it can be known before any training of the final stage.

    Attributes:
        spread_from: where the spread of a training's test mAP is known from; what is configured goes before a pilot
        pilot: the one that was made for this configuration
    """

    count: SeedCount
    spread_from: SpreadFrom
    pilot: Pilot | None

    @classmethod
    def of(cls, config: Config, pilot: Pilot | None = None) -> PlannedPower:
        """Of the final stage that `config` asks for."""
        if config.retrain.spread is not None:
            return cls(seed_count(config), "configuration", pilot)
        if pilot is not None:
            return cls(seed_count(config, pilot.spread.value), "pilot", pilot)
        return cls(seed_count(config), "default", None)

    def in_words(self) -> str:
        """On the page, on one line."""
        count = self.count
        if count.detectable is None:
            return f"one test seed allows no test; set retrain.seeds to 2 or more, or leave it out for {count.wanted}"
        shown = points(count.detectable, signed=False)
        lead = points(count.smallest_lead, signed=False)
        takes = "as many as" if count.seeds == count.wanted else f"{format_count(count.wanted, 'seed')} are what"
        return (
            f"{format_count(count.seeds, 'test seed')} show a lead of {shown} points of test mAP with 80 %; {takes} "
            f"{lead} points take; {self._spread()}"
        )

    def warnings(self) -> Iterator[str]:
        """Where the smallest lead would rather be missed."""
        count = self.count
        if count.enough or count.detectable is None:
            return
        if self.spread_from == "pilot" and not count.configured and count.seeds < MOST_BY_DEFAULT:
            yield (
                f"{count.seeds} test seeds follow from the default spread; with the pilot's, {count.wanted} are what "
                f"retrain.smallest_lead={count.smallest_lead:g} takes; set retrain.spread: {count.spread:.3g}"
            )
            return
        which = f"retrain.seeds={count.seeds}" if count.configured else f"{MOST_BY_DEFAULT} seeds, the most by default,"
        yield (
            f"{which} must be at least {count.wanted} to show retrain.smallest_lead={count.smallest_lead:g} with 80 %, "
            f"and show {points(count.detectable, signed=False)} points; set retrain.seeds: {count.wanted}, or a larger "
            "retrain.smallest_lead"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for scripts; leads and spreads as fractions."""
        count = self.count
        return {
            "test_seeds": count.seeds,
            "configured": count.configured,
            "detectable_lead": count.detectable,
            "smallest_lead": count.smallest_lead,
            "seeds_for_smallest_lead": count.wanted,
            "spread": count.spread,
            "spread_from": self.spread_from,
            "power": 0.8,
            "error": FIRST_LOOK,
            "pilot": self.pilot.to_dict() if self.pilot else None,
        }

    def _spread(self) -> str:
        spread = f"a training's spread of {points(self.count.spread, signed=False)} points is"
        if self.spread_from == "default":
            return f"{spread} the default, not measured"
        if self.spread_from == "configuration":
            return f"{spread} retrain.spread"
        assert self.pilot is not None
        return f"{spread} from the pilot {self.pilot.run} of {self.pilot.ended_at[:10]}"
