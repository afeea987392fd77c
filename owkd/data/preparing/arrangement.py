"""Which file of a data set goes where, and whose division that is."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from owkd.data.index import SPLITS, SplitName
from owkd.data.preparing.folds import FOLDS, MIN_IDENTITIES, MIN_VALIDATION, VALIDATION_SHARE, divide
from owkd.errors import DataError

Modality = Literal["thermal", "visible", "both"]


@dataclass(frozen=True)
class Placed:
    """A file, and what it is called in the folder of its identity."""

    identity: int
    name: str
    source: Path


Splits = Mapping[SplitName, Sequence[Placed]]


@dataclass(frozen=True)
class Arrangement:
    """A data set before a file of it is placed.

    Attributes:
        dataset: name of its folder
        folds: the files, by fold and split
        note: what of the division is published and what is ours, and what figures may be compared with
        settings: what the division depends on beside the files; plain values
        remarks: what is left out, in sentences
        people: of each identity number that is ours, the name in the data set
    """

    dataset: str
    folds: Mapping[str, Splits]
    note: str
    settings: Mapping[str, Any]
    remarks: tuple[str, ...] = ()
    people: Mapping[int, str] | None = None

    def description(self) -> dict[str, Any]:
        """What `folds.json` holds: plain values that say who is where."""
        folds = {
            fold: {split: people_of(placed) for split, placed in splits.items()} for fold, splits in self.folds.items()
        }
        names = {} if self.people is None else {"people": {str(key): name for key, name in self.people.items()}}
        return {"note": self.note, **self.settings, "folds": folds, **names}


def people_of(placed: Iterable[Placed]) -> list[int]:
    """Identity numbers, each once, in ascending order."""
    return sorted({each.identity for each in placed})


def held_out(identities: Collection[int], seed: int) -> list[int]:
    """The validation part of people who are trained on: about a fifth, at least four, by the seed.

    Raises `DataError` where nobody would be left to train on.
    """
    if len(identities) < 2 * MIN_VALIDATION:
        raise DataError(
            f"at least {2 * MIN_VALIDATION} people must be there to train on, half of them for validation, but there "
            f"are {len(identities)}; give the whole data set"
        )
    people = np.random.default_rng(seed).permutation(np.array(sorted(identities), dtype=np.int64))
    return sorted(people[: max(MIN_VALIDATION, round(len(people) / VALIDATION_SHARE))].tolist())


def with_validation(train: Sequence[Placed], test: Sequence[Placed], seed: int) -> Splits:
    """A published division into train and test, and a validation part of train that is ours."""
    validation = set(held_out(people_of(train), seed))
    return {
        "train": [each for each in train if each.identity not in validation],
        "validation": [each for each in train if each.identity in validation],
        "test": test,
    }


def two_folds(placed: Sequence[Placed], seed: int) -> dict[str, Splits]:
    """A division that is ours: two-fold cross-validation, as in `owkd.data.preparing.folds`. Raises `DataError`."""
    people = people_of(placed)
    if len(people) < MIN_IDENTITIES:
        raise DataError(
            f"at least {MIN_IDENTITIES} people must have images to be divided into two folds, but there are "
            f"{len(people)}; give the whole data set"
        )
    own: dict[int, list[Placed]] = defaultdict(list)
    for each in placed:
        own[each.identity].append(each)
    division = divide(people, np.random.default_rng(seed))
    return {
        fold: {split: [each for person in division[fold][split] for each in own[person]] for split in SPLITS}
        for fold in FOLDS
    }
