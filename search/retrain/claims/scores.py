"""One setting's figures on the test split, in one metric: a table of trainings and queries for each fold.

Shapes: F folds, S seeds, Q queries of a fold, I identities over all folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scores:
    """What the models of one setting scored on each query; every seed was trained on every fold.

    Attributes:
        seeds: (S,) ascending
        identities: for each fold (Q,): who is looked for
        values: for each fold (S, Q): average precision, or 1 where the first image is a match and else 0
    """

    seeds: Integers
    identities: tuple[Integers, ...]
    values: tuple[Floats, ...]

    def __post_init__(self) -> None:
        shapes = [(len(self.seeds), len(people)) for people in self.identities]
        if not shapes or min(map(min, shapes)) < 1 or [values.shape for values in self.values] != shapes:
            got = [values.shape for values in self.values]
            raise ValueError(f"each fold must have one value a seed and query, {shapes}, but got {got}")

    @classmethod
    def from_rows(
        cls, fold: Sequence[str], seed: ArrayLike, query: ArrayLike, identity: ArrayLike, value: ArrayLike
    ) -> Scores:
        """From columns of equal length, one row a (fold, seed, query), in any order.

        Only seeds that were trained on every fold count. Raises `ValueError` when there is none, or when the models
        of a fold differ in their queries.
        """
        folds, seeds, people = np.asarray(fold), np.asarray(seed, np.int64), np.asarray(identity, np.int64)
        queries, values = np.asarray(query, np.int64), np.asarray(value, np.float64)
        names = sorted(set(folds.tolist()))
        everywhere = set.intersection(*(set(seeds[folds == name].tolist()) for name in names)) if names else set()
        kept = np.array(sorted(everywhere), np.int64)
        identities, tables = [], []
        for name in names:
            rows = np.flatnonzero((folds == name) & np.isin(seeds, kept))
            rows = rows[np.lexsort((queries[rows], seeds[rows]))]
            if len(kept) == 0 or len(rows) % len(kept):
                raise ValueError(f"every seed must have the same queries on {name}, but got {len(rows)} rows in all")
            table = rows.reshape(len(kept), -1)
            same = (seeds[table] == kept[:, None]).all() and (queries[table] == queries[table[0]]).all()
            if not same or (people[table] != people[table[0]]).any():
                raise ValueError(f"the models of {name} must have been tested on the same queries, but they were not")
            identities.append(people[table[0]])
            tables.append(values[table])
        return cls(kept, tuple(identities), tuple(tables))

    @property
    def per_seed(self) -> Floats:
        """(S,) the mean over queries, such as mAP, and then over folds."""
        means: Floats = np.mean([values.mean(1) for values in self.values], axis=0)
        return means

    @property
    def people(self) -> Integers:
        """(I,) ascending: everyone who is looked for in any fold."""
        return np.unique(np.concatenate(self.identities))

    def influences(self) -> Floats:
        """(S, I) how far each identity, with all of its queries in all folds, moves `per_seed`; every row's sum is 0.

        The linear part of a ratio of sums: identities have different numbers of queries.
        """
        people = self.people
        result = np.zeros((len(self.seeds), len(people)))
        for identities, values in zip(self.identities, self.values, strict=True):
            places = np.searchsorted(people, identities)
            order = np.argsort(places, kind="stable")
            starts = np.flatnonzero(np.diff(places[order], prepend=-1))
            centred = values - values.mean(1, keepdims=True)
            sums = np.add.reduceat(centred[:, order], starts, axis=1)
            result[:, places[order][starts]] += sums / (len(identities) * len(self.values))
        return result
