"""Division of people into two folds with disjoint train, validation and test parts."""

from collections.abc import Sequence

import numpy as np

from owkd.data.index import SPLITS, SplitName

FOLDS = ("Fold1", "Fold2")
VALIDATION_SHARE = 5  # one in five of the people who are not tested on
MIN_VALIDATION = 4
MIN_IDENTITIES = 16  # leaves four people to train on in a fold, beside four for validation and eight for test

Folds = dict[str, dict[SplitName, list[int]]]


def divide(identities: Sequence[int], rng: np.random.Generator) -> Folds:
    """Which people are in which split of which fold.

    A random half is tested on in Fold1 and the other half in Fold2. Of the people who are not tested on, about a fifth,
    and at least four, are the validation part: others than those in train, because a model that must recognise people
    whom it has never seen is chosen by people whom it has never seen. No person is in two splits of a fold.
    """
    people = rng.permutation(np.array(sorted(identities), dtype=np.int64))
    first, second = people[: len(people) // 2], people[len(people) // 2 :]
    folds: Folds = {}
    for name, test, rest in zip(FOLDS, (first, second), (second, first), strict=True):
        held_out = max(MIN_VALIDATION, round(len(rest) / VALIDATION_SHARE))
        parts = (rest[held_out:], rest[:held_out], test)
        folds[name] = {split: sorted(part.tolist()) for split, part in zip(SPLITS, parts, strict=True)}
    return folds
