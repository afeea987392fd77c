"""A tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna has it."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from owkd.config import ParzenSettings, SearchConfig
from search.samplers.history import with_history


def tpe_sampler(search: SearchConfig, startup: int, seed: int, earlier: Sequence[FrozenTrial]) -> BaseSampler:
    """TPE as configured; entries with conditions are modelled in groups that occur together."""
    settings = search.sampler
    assert isinstance(settings, ParzenSettings)
    conditional = any(entry.when for entry in search.space.values())
    sampler = TPESampler(
        n_startup_trials=startup,
        n_ei_candidates=settings.candidates,
        multivariate=settings.multivariate,
        group=settings.multivariate and conditional,
        constant_liar=settings.constant_liar,
        seed=seed,
    )
    return with_history(sampler, earlier)


def describe_tpe(settings: ParzenSettings) -> str:
    """What it does after its random trials, for people."""
    joint = "parameters jointly" if settings.multivariate else "each parameter alone"
    liar = ", running trials counted as poor" if settings.constant_liar else ""
    return f"the best of {settings.candidates} draws of a Parzen model of {joint}{liar}"
