"""A Gaussian process of a few hundred rows, and what leads from trials to it and from it to the next trial.

once.py         what is made of a trial that is over, once
outcomes.py     what trials that are over tell, those that were stopped included
points.py       points as genes, which are searched, and as features, which measure
process.py      the process over features and how far a training has come
beliefs.py      a process for each objective and constraint, with hyperparameters that are fitted now and then
acquisition.py  where improvement is expected most
"""

from search.samplers.model.acquisition import Acquisition, climb
from search.samplers.model.beliefs import Beliefs, beliefs
from search.samplers.model.outcomes import PART_EPOCHS, Outcome, outcomes
from search.samplers.model.points import Points
from search.samplers.model.process import Hyper, Posterior, Rows, fit

__all__ = [
    "PART_EPOCHS",
    "Acquisition",
    "Beliefs",
    "Hyper",
    "Outcome",
    "Points",
    "Posterior",
    "Rows",
    "beliefs",
    "climb",
    "fit",
    "outcomes",
]
