"""What proposes trials: one fresh sampler for each, so that a proposal hangs on seed, trial number and history alone.

What a sampler must remember from trial to trial it keeps in the study (CMA-ES its distribution, NSGA-II its
generations), so that nothing is lost with the driver. What Optuna could change by default is pinned here.

| sampler | learns from                | where an entry has a condition                       |
|---------|----------------------------|------------------------------------------------------|
| tpe     | complete and pruned trials | models each group of entries that occur together     |
| gp      | complete and pruned trials | draws it at random, models what every trial has      |
| cmaes   | complete trials            | draws it at random, as it does choices               |
| nsga2   | complete trials            | draws it at random                                   |
| random  | nothing                    | draws it                                             |

`auto` is gp, whose proposals are the best where trials are few and dear (benchmarks/RESULTS.md), and tpe where gp would
draw at random, leave stopped trials out, or think for longer than a short trial trains.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from owkd.config import SearchConfig
from search.samplers.cmaes import FixedCmaEsSampler, always_numbers
from search.samplers.gp import GaussianProcessSampler
from search.samplers.history import WithHistory

GP_TRIALS = 300
"""for how many trials `auto` is gp"""

STARTUP_TRIALS = {"gp": 3, "tpe": 10, "cmaes": 10}
"""where `search.sampler.startup_trials` is unset"""


def sampler_name(search: SearchConfig, number: int) -> str:
    """The sampler of the trial of that number: the configured one, or what `auto` means for it."""
    if search.sampler.name != "auto":
        return search.sampler.name
    conditional = any(entry.when for entry in search.space.values())
    return "tpe" if conditional or len(search.objectives) > 1 or number >= GP_TRIALS else "gp"


def startup_trials(search: SearchConfig, name: str) -> int:
    """Random trials before that sampler models anything."""
    return search.sampler.startup_trials or STARTUP_TRIALS[name]


def make_sampler(search: SearchConfig, number: int, earlier: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """The sampler of the trial of that number, which also knows complete trials of an `earlier` run."""
    chosen, space, name = search.sampler, search.space, sampler_name(search, number)
    seed = int(np.random.SeedSequence([chosen.seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # groups of TPE, and the start of CMA-ES
        match name:
            case "random":
                return RandomSampler(seed=seed)
            case "tpe":
                conditional = any(entry.when for entry in space.values())
                found: BaseSampler = TPESampler(
                    n_startup_trials=startup_trials(search, name),
                    n_ei_candidates=chosen.candidates,
                    multivariate=chosen.multivariate,
                    group=chosen.multivariate and conditional,
                    constant_liar=chosen.constant_liar,
                    seed=seed,
                )
            case "gp":
                found = GaussianProcessSampler(search, startup_trials(search, name), seed)
            case "cmaes":
                return FixedCmaEsSampler(always_numbers(space), startup_trials(search, name), seed, earlier)
            case "nsga2":
                found = NSGAIISampler(population_size=chosen.population, seed=seed)
    return WithHistory(found, earlier) if earlier else found
