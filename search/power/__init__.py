"""How many test seeds, and what they can show, before anything is trained.

seed_count.py   the test seeds of a configuration, and what they can show
looks.py        how one error is shared out over several looks at the test split
welch.py        which lead so many seeds can detect, and how many seeds a lead takes; loads scipy, a second of imports
"""

from search.power.looks import ERROR, FIRST_LOOK, error_of_look
from search.power.seed_count import MOST_BY_DEFAULT, SeedCount, number_of_seeds, seed_count

__all__ = [
    "ERROR",
    "FIRST_LOOK",
    "MOST_BY_DEFAULT",
    "SeedCount",
    "error_of_look",
    "number_of_seeds",
    "seed_count",
]
