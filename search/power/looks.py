"""How one error is shared out over several looks at the test split.

The first look has most of it. What is left is for later ones, each of which takes half of what those before it left:
0.0025, 0.00125, ... By Bonferroni's inequality all looks together err at most by their sum, which stays below `ERROR`
however many there are, whenever they are taken, and whatever decided to take them.
"""

from __future__ import annotations

ERROR = 0.025
"""one-sided: the chance that a setting which is no better is ever said to be, over all looks"""
FIRST_LOOK = 0.020
"""of it, the share of the first look"""
LATER_LOOKS = 0.005
"""of it, what all others share"""


def error_of_look(number: int) -> float:
    """Of the look with this number, 1 being the first. Raises `ValueError` below 1."""
    if number < 1:
        raise ValueError(f"number must be at least 1, but got {number}")
    return FIRST_LOOK if number == 1 else LATER_LOOKS / float(2 ** (number - 1))
