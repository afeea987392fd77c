"""What proposes trials: one fresh sampler for each, so that a proposal depends on seed, trial number and history alone.

What a sampler must remember from trial to trial it keeps in the study (CMA-ES its distribution, NSGA-II its
generations), so that nothing is lost with the driver. What Optuna could change by default is pinned here.

| sampler | learns from                | where an entry has a condition                       |
|---------|----------------------------|------------------------------------------------------|
| gp      | complete and pruned trials | models it, and whether it is searched                |
| tpe     | complete and pruned trials | models each group of entries that occur together     |
| cmaes   | complete trials            | draws it at random, as it does choices               |
| nsga2   | complete trials            | draws it at random                                   |
| random  | nothing                    | draws it                                             |

In a space of so few points that they can be named, no known one is proposed while others are left (`unseen.py`).
None of them sees training without distillation, unless the space can express it (`search.study.study`).

`auto` is gp: its proposals are the best where trials are few and dear (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from owkd.config import LearningSettings, SearchConfig
from search.samplers.cmaes import cmaes_sampler, describe_cmaes
from search.samplers.gp import describe_gp, gp_sampler
from search.samplers.nsga2 import describe_nsga2, nsga2_sampler
from search.samplers.tpe import describe_tpe, tpe_sampler
from search.samplers.unseen import unseen_points


@dataclass(frozen=True)
class SamplerKind:
    """What must be known of a kind of sampler.

    Attributes:
        build: the section `search`, random trials at the start, a seed, and trials of an earlier run -> a sampler
        describe: what it does after them, for people, given its section
        startup: random trials before it models anything, where the configuration says nothing
    """

    build: Callable[[SearchConfig, int, int, Sequence[FrozenTrial]], BaseSampler]
    describe: Callable[[Any], str]
    startup: int = 0


SAMPLERS: dict[str, SamplerKind] = {
    "gp": SamplerKind(gp_sampler, describe_gp, startup=3),
    "tpe": SamplerKind(tpe_sampler, describe_tpe, startup=10),
    "cmaes": SamplerKind(cmaes_sampler, describe_cmaes, startup=10),
    "nsga2": SamplerKind(nsga2_sampler, describe_nsga2),
    "random": SamplerKind(
        lambda search, startup, seed, earlier: RandomSampler(seed=seed), lambda sampler: "independent random draws"
    ),
}


def sampler_name(search: SearchConfig) -> str:
    """The configured sampler, or what `auto` means."""
    return "gp" if search.sampler.name == "auto" else search.sampler.name


def startup_trials(search: SearchConfig, name: str) -> int:
    """Random trials before that sampler models anything."""
    own = search.sampler.startup_trials if isinstance(search.sampler, LearningSettings) else None
    return own or SAMPLERS[name].startup


def make_sampler(search: SearchConfig, number: int, earlier: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """The sampler of the trial of that number, which also knows complete trials of an `earlier` run."""
    name = sampler_name(search)
    seed = int(np.random.SeedSequence([search.sampler.seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # groups of TPE, and the start of CMA-ES
        sampler = SAMPLERS[name].build(search, startup_trials(search, name), seed, earlier)
    return unseen_points(sampler, search.space, seed)


def describe_sampler(search: SearchConfig) -> str:
    """What proposes trials, for people."""
    name = sampler_name(search)
    startup = startup_trials(search, name)
    first = f"{startup} random trials first, then " if startup else ""
    return f"{name}: {first}{SAMPLERS[name].describe(search.sampler)}; seed {search.sampler.seed}"
