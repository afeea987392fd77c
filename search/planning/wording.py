"""What a configuration asks of the search, in words and at most a line each."""

from __future__ import annotations

from typing import Any

from owkd.config import EPOCH_METRICS, Config
from search.space.parameters import reduction_in_words
from search.trials.job import parts_of


def value_in_words(value: Any) -> str:
    """A value of a field: weights as `1.00/1.00/1.00`."""
    if isinstance(value, dict):
        return "/".join(f"{weight:.2f}" for weight in value.values())
    return f"{value:g}" if isinstance(value, float) else str(value)


def objectives_in_words(config: Config) -> str:
    """What a trial is judged by."""
    shown = []
    for objective in config.search.objectives:
        changes = objective.metric in EPOCH_METRICS
        shown.append(
            f"{objective.direction} {objective.metric}" + (f" ({reduction_in_words(config)})" if changes else "")
        )
    bounds = f", subject to {', '.join(config.search.constraints)}" if config.search.constraints else ""
    return ", ".join(shown) + bounds


def race_in_words(config: Config) -> str:
    """What stops a trial between its parts; empty where nothing does."""
    if not config.search.race or len(parts_of(config)) == 1 or len(config.search.objectives) > 1:
        return ""
    return (
        "race: at the end of each fold and seed but the last, a trial stops when luck does not explain how far it is "
        "behind the best complete one; not before three are complete, and never trial 0"
    )
