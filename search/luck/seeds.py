"""Disjoint sets of seeds, derived from one: for the search, the choice, the test, and a pilot before them.

A seed that was searched on says nothing new about the trial that it made look best, and one that chose the champion
says nothing new about the champion. So no seed is in two sets: those of search, choice and test differ in their
remainder modulo 3, the pilot's lie above them all, and those that the search was given are passed over in every stream.
Asking for more later keeps the first ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    PILOT = auto()


LARGEST = 2**31 - 1
"""seeds of search, choice and test fit into 31 bits, as every library takes them; a pilot's into 32"""
REMAINDERS = 3
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

    def look(self, number: int) -> list[int]:
        """Seeds of the trial that is the `number`-th with its values: the given ones for the first, then fresh ones."""
        size = len(self.given)
        return self.search(number * size)[(number - 1) * size :]

    def choice(self, number: int) -> list[int]:
        """Seeds on which the champion is chosen by validation."""
        return list(islice(self._stream(1), number))

    def test(self, number: int) -> list[int]:
        """Seeds of the models for which the test split is opened."""
        return list(islice(self._stream(2), number))

    def pilot(self, number: int) -> list[int]:
        """Seeds of trainings before the search, which measure how far such trainings spread."""
        draws = (LARGEST + 1 + draw % (LARGEST + 1) for draw in self._draws(REMAINDERS))
        return list(islice(self._fresh(draws), number))

    def _stream(self, remainder: int) -> Iterator[int]:
        """All of one set, those whose remainder this is."""
        size = LARGEST // REMAINDERS
        return self._fresh(draw % size * REMAINDERS + remainder for draw in self._draws(remainder))

    def _fresh(self, seeds: Iterable[int]) -> Iterator[int]:
        """Without repeats, and without those that the search was given."""
        passed = set(self.given)
        for seed in seeds:
            if seed not in passed:
                passed.add(seed)
                yield seed

    def _draws(self, key: int) -> Iterator[int]:
        """Numbers of 32 bits: in blocks, so that none depends on how many are asked for."""
        root: Sequence[int] = (self.root, 0)
        for block in count():
            yield from SeedSequence(root, spawn_key=(key, block)).generate_state(BLOCK).tolist()
