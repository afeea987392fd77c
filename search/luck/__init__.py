"""What a training owes to its seed: which luck it is, how large luck is, and what it could explain.

seeds.py    three disjoint sets of seeds: for the search, the choice and the test
noise.py    how trials differ by luck alone, from those that are complete
race.py     whether a trial that has seen some of its parts can still be as good as the best
forecast.py how far a training can still rise, by those that are complete
"""

from search.luck.noise import Noise, noise_in_words, noise_of
from search.luck.race import Standing, standing
from search.luck.seeds import Seeds, SeedSet

__all__ = ["Noise", "SeedSet", "Seeds", "Standing", "noise_in_words", "noise_of", "standing"]
