"""Which of the search's best becomes the champion: successive halving over fresh seeds, by validation alone.

Sequential halving (Karnin, Koren and Somekh 2013): all candidates on a few seeds, the better half of them on more, ...
until one is left. Every round spends about the same, and what earlier rounds trained counts on (Jamieson and Talwalkar
2016). All who take part in a round are trained with the same seeds. One training here is one on every fold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Round:
    """Who is trained with what.

    Attributes:
        candidates: how many take part: the best of the round before
        first: position of the round's first seed among the choice seeds
        seeds: how many seeds each of them is trained with
    """

    candidates: int
    first: int
    seeds: int

    @property
    def trainings(self) -> int:
        """On every fold."""
        return self.candidates * self.seeds


def choice_rounds(candidates: int, budget: int) -> tuple[Round, ...]:
    """The rounds in which `budget` trainings choose one of so many candidates; none for a single candidate.

    Round sizes are halved, upwards rounded, from all candidates to two. Every round has a seed at least; then the one
    that spends least gets another, of equals the later one, as long as the budget holds. Raises `ValueError` for a
    budget below `least_budget`.
    """
    sizes = _sizes(candidates)
    if budget < sum(sizes):
        raise ValueError(f"budget must be at least {sum(sizes)} for {candidates} candidates, but got {budget}")
    seeds = [1] * len(sizes)
    left = budget - sum(sizes)
    while affordable := [i for i, size in enumerate(sizes) if size <= left]:
        poorest = min(affordable, key=lambda i: (sizes[i] * seeds[i], -i))
        seeds[poorest] += 1
        left -= sizes[poorest]
    return tuple(Round(size, sum(seeds[:i]), seeds[i]) for i, size in enumerate(sizes))


def rounds_within(candidates: int, budget: int | None) -> tuple[Round, ...]:
    """The same for a budget that may be too small, or left open: two seeds a round then, and never fewer than one."""
    least = least_budget(candidates)
    return choice_rounds(candidates, 2 * least if budget is None else max(budget, least))


def least_budget(candidates: int) -> int:
    """Trainings that a choice takes with one seed a round; 0 for a single candidate."""
    return sum(_sizes(candidates))


def survivors(values: Mapping[str, Sequence[float]], keep: int) -> list[str]:
    """The `keep` candidates with the best mean, best first; of equals the earlier one in `values` is the better.

    values: by candidate, in the order of the search's list, one validation value a seed so far, larger being better.
    Who lacks a value that others have, or has one that is not finite, failed and is out; so fewer than `keep` may be
    left, or none.
    """
    most = max(map(len, values.values()), default=0)
    whole = [name for name, own in values.items() if own and len(own) == most and all(map(math.isfinite, own))]
    return sorted(whole, key=lambda name: -math.fsum(values[name]) / most)[:keep]


def _sizes(candidates: int) -> list[int]:
    if candidates < 1:
        raise ValueError(f"a choice must have candidates, but got {candidates}")
    sizes = []
    while candidates > 1:
        sizes.append(candidates)
        candidates = math.ceil(candidates / 2)
    return sizes
