"""Three disjoint sets of seeds, derived from one: S for the search, C for the choice, T for the test.

A seed that was searched on says nothing new about the trial that it made look best, and one that chose the champion
says nothing new about the champion. So no seed is in two sets: the derived ones differ in their remainder modulo 3, and
those that the search was given are passed over in all three streams. Asking for more later keeps the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from itertools import count, islice

from numpy.random import SeedSequence

from owkd.config import Config


class SeedSet(StrEnum):
    """What a training with a seed is for; its name in tables."""

    SEARCH = auto()
    CHOICE = auto()
    TEST = auto()


LARGEST = 2**31 - 1
"""seeds fit into 31 bits, as every library takes them"""
BLOCK = 32
"""seeds that are derived together"""


@dataclass(frozen=True)
class Seeds:
    """The seeds of one run.

    Attributes:
        root: from which all others are derived, such as `train.seed`
        given: seeds the search trains with whatever is derived; they never change in a run
    """

    root: int
    given: tuple[int, ...]

    @classmethod
    def of(cls, config: Config) -> Seeds:
        """Those of a run."""
        return cls(config.train.seed, tuple(config.search.seeds or (config.train.seed,)))

    def search(self, number: int) -> list[int]:
        """The given seeds, then fresh ones."""
        fresh = islice(self._stream(0), max(0, number - len(self.given)))
        return [*self.given[:number], *fresh]

    def choice(self, number: int) -> list[int]:
        """Seeds on which the champion is chosen by validation."""
        return list(islice(self._stream(1), number))

    def test(self, number: int) -> list[int]:
        """Seeds of the models for which the test split is opened."""
        return list(islice(self._stream(2), number))

    def _stream(self, remainder: int) -> Iterator[int]:
        """All of one set, without repeats: in blocks, so that none depends on how many are asked for."""
        size = len(SeedSet)
        passed = set(self.given)
        root: Sequence[int] = (abs(self.root), int(self.root < 0))
        for block in count():
            for draw in SeedSequence(root, spawn_key=(remainder, block)).generate_state(BLOCK).tolist():
                seed = draw % (LARGEST // size) * size + remainder
                if seed not in passed:
                    passed.add(seed)
                    yield seed
