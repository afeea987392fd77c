"""A pilot in words: what it measured, and how little a few trainings can say."""

from __future__ import annotations

from collections.abc import Iterator

from owkd.config import Config
from owkd.formatting import format_count
from search.pilot.findings import Interval, Pilot
from search.power import seed_count
from search.retrain.claims.words import points
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED


def pilot_in_words(pilot: Pilot, config: Config) -> Iterator[str]:
    """Lines for the page of a plan."""
    spread = pilot.spread
    trained = " and ".join(f"{len(own)} of {name}" for name, own in pilot.figures.items())
    yield (
        f"{pilot.run}, {pilot.fold}: {trained}; a training's validation mAP spreads by "
        f"{points(spread.value, signed=False)} points (95 % interval {points(spread.low, signed=False)} to "
        f"{points(spread.high, signed=False)}, {format_count(pilot.degrees, 'degree')} of freedom)"
    )
    wanted = [seed_count(config, value).wanted for value in spread]
    lead = points(config.retrain.smallest_lead, signed=False)
    yield (
        f"with it a lead of {lead} points takes {wanted[0]} test seeds, and {wanted[1]} to {wanted[2]} over that "
        "interval; validation stands in for the test split, which stays closed"
    )
    yield _correlation(pilot.correlation())
    if (difference := pilot.difference(PUBLISHED, NO_DISTILLATION_NAME)) is not None:
        interval = f"95 % interval {points(difference.low)} to {points(difference.high)}"
        yield (
            f"{PUBLISHED} are {points(difference.value)} points from {NO_DISTILLATION_NAME} in validation mAP "
            f"({interval}, over the luck of training)"
        )
    if config.retrain.spread is None:
        yield f"to use it, put into the configuration: retrain.spread: {spread.value:.3g}"


def _correlation(found: Interval | None) -> str:
    if found is None:
        return "whether equal seeds are lucky together takes four seeds or more of both settings"
    figures = f"correlation {found.value:+.2f}, 95 % interval {found.low:+.2f} to {found.high:+.2f}"
    if found.low > 0:
        return f"equal seeds are lucky together ({figures}), which the test does not use: it errs on the careful side"
    if found.high < 0:
        return f"equal seeds are lucky against each other ({figures}): more often than it says, the test may err"
    return f"equal seeds were not shown to be lucky together ({figures}); the test does not pair them"
