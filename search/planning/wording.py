"""What a configuration asks of the search, in words and at most a line each."""

from __future__ import annotations

from typing import Any

from owkd.config import EPOCH_METRICS, Config
from search.space.parameters import reduction_in_words


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
