"""NSGA-II (Deb et al. 2002), as Optuna has it."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.trial import FrozenTrial

from owkd.config import Nsga2Settings, SearchConfig


def nsga2_sampler(search: SearchConfig, startup: int, seed: int, earlier: Sequence[FrozenTrial]) -> BaseSampler:
    """NSGA-II as configured; its first generation is drawn at random, and it learns from no earlier run."""
    settings = search.sampler
    assert isinstance(settings, Nsga2Settings)
    return NSGAIISampler(population_size=settings.population, seed=seed)


def describe_nsga2(settings: Nsga2Settings) -> str:
    """What it does, for people."""
    return f"generations of {settings.population} trials, the better ones crossed and mutated"
