"""What proposes trials.

selection.py  which sampler a trial gets, and why; a new one is a file here and a line there
gp.py         a Gaussian process that learns from stopped trials too
tpe.py        a tree-structured Parzen estimator
nsga2.py      a genetic algorithm
cmaes.py      CMA-ES over the numbers that every trial has
unseen.py     another point in place of a known one, where the space is finite
history.py    trials of an earlier run, which any of them may learn from
"""

from search.samplers.cmaes import WARM_CMAES
from search.samplers.gp import GaussianProcessSampler
from search.samplers.history import WithHistory, earlier_trials
from search.samplers.selection import (
    SAMPLERS,
    SamplerKind,
    describe_sampler,
    make_sampler,
    sampler_name,
    startup_trials,
)
from search.samplers.unseen import UnseenPoints

__all__ = [
    "SAMPLERS",
    "WARM_CMAES",
    "GaussianProcessSampler",
    "SamplerKind",
    "UnseenPoints",
    "WithHistory",
    "describe_sampler",
    "earlier_trials",
    "make_sampler",
    "sampler_name",
    "startup_trials",
]
