"""What a configuration asks of the search, in words and at most a line each."""

from __future__ import annotations

from typing import Any

from owkd.config import EPOCH_METRICS, Config, SearchConfig
from search.samplers.gp import ONE_IN
from search.samplers.selection import STARTUP_TRIALS, sampler_name, startup_trials


def value_in_words(value: Any) -> str:
    """A value of a field: weights as `1.00/1.00/1.00`."""
    if isinstance(value, dict):
        return "/".join(f"{weight:.2f}" for weight in value.values())
    return f"{value:g}" if isinstance(value, float) else str(value)


def sampler_in_words(search: SearchConfig) -> str:
    """What proposes trials."""
    sampler, name = search.sampler, sampler_name(search, 0)
    first = f"{startup_trials(search, name)} random trials first" if name in STARTUP_TRIALS else ""
    match name:
        case "tpe":
            joint = "parameters jointly" if sampler.multivariate else "each parameter alone"
            liar = ", running trials counted as poor" if sampler.constant_liar else ""
            text = f"{first}, then the best of {sampler.candidates} draws of a Parzen model of {joint}{liar}"
        case "gp":
            text = f"{first}, then what a Gaussian process expects most of, and one in {ONE_IN} at random"
        case "cmaes":
            text = f"{first}, then an evolution strategy that adapts its covariance"
        case "nsga2":
            text = f"generations of {sampler.population} trials, the better ones crossed and mutated"
        case _:
            text = "independent random draws"
    return f"{name}: {text}; seed {sampler.seed}"


def objectives_in_words(config: Config) -> str:
    """What a trial is judged by."""
    shown = []
    for objective in config.search.objectives:
        changes = objective.metric in EPOCH_METRICS
        reduction = f" ({objective.reduction if objective.reduction != 'best' else 'best epoch'})" if changes else ""
        shown.append(f"{objective.direction} {objective.metric}{reduction}")
    bounds = f", subject to {', '.join(config.search.constraints)}" if config.search.constraints else ""
    return ", ".join(shown) + bounds
