"""What a configuration asks of the search, in words and at most a line each."""

from __future__ import annotations

from typing import Any

from owkd.config import EPOCH_METRICS, Config
from search.retrain.claims import detectable_lead


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
        reduction = f" ({objective.reduction if objective.reduction != 'best' else 'best epoch'})" if changes else ""
        shown.append(f"{objective.direction} {objective.metric}{reduction}")
    bounds = f", subject to {', '.join(config.search.constraints)}" if config.search.constraints else ""
    return ", ".join(shown) + bounds


def detectable_in_words(config: Config) -> str:
    """Which lead the final stage shows with 80 %, as configured: before any training, in units of their own spread."""
    seeds = config.retrain.seeds
    if seeds < 2:
        return "one test seed allows no test: set retrain.seeds to 2 or more"
    lead = detectable_lead(seeds, sd=1.0)
    return f"a lead of {lead:.2g} standard deviations of a training's test mAP is detected with 80 %"
