"""Rows become tables of seeds and queries, in any order; what does not fit together is refused."""

from __future__ import annotations

import numpy as np
import pytest

from search.retrain.claims import Scores

ROWS = [
    # fold, seed, query, identity, value
    ("B", 4, 0, 9, 0.1),
    ("B", 2, 0, 9, 0.2),
    ("A", 4, 1, 8, 0.3),
    ("A", 4, 0, 7, 0.4),
    ("A", 2, 0, 7, 0.5),
    ("A", 2, 1, 8, 0.6),
]


def columns(rows) -> list[tuple]:
    return list(zip(*rows, strict=True))


def test_rows_in_any_order(rng) -> None:
    for _ in range(3):
        scores = Scores.from_rows(*columns(ROWS[i] for i in rng.permutation(len(ROWS))))
        assert scores.seeds.tolist() == [2, 4]
        assert [people.tolist() for people in scores.identities] == [[7, 8], [9]]
        assert [values.tolist() for values in scores.values] == [[[0.5, 0.6], [0.4, 0.3]], [[0.2], [0.1]]]
        assert scores.per_seed == pytest.approx([(0.55 + 0.2) / 2, (0.35 + 0.1) / 2])
        assert scores.people.tolist() == [7, 8, 9]


def test_influences_by_hand() -> None:
    # seed 2: fold A has mean 0.55 and two queries, one of two folds: (0.5 - 0.55) / 2 / 2
    influences = Scores.from_rows(*columns(ROWS)).influences()
    assert influences == pytest.approx(np.array([[-0.0125, 0.0125, 0], [0.0125, -0.0125, 0]]))


def test_a_seed_that_lacks_a_fold_counts_nowhere() -> None:
    scores = Scores.from_rows(*columns([*ROWS, ("A", 5, 0, 7, 0.9), ("A", 5, 1, 8, 0.9)]))
    assert scores.seeds.tolist() == [2, 4]
    with pytest.raises(ValueError, match="same queries"):
        Scores.from_rows(*columns([("A", 1, 0, 7, 0.9), ("B", 2, 0, 7, 0.9)]))


@pytest.mark.parametrize(
    "rows",
    [ROWS[:-1], [*ROWS[:-1], ("A", 2, 2, 8, 0.6)], [*ROWS[:-1], ("A", 2, 1, 6, 0.6)], [*ROWS, ROWS[-1]]],
    ids=["a query is missing", "another query", "another identity", "a row twice"],
)
def test_models_of_a_fold_must_have_met_the_same_queries(rows) -> None:
    with pytest.raises(ValueError, match="same queries"):
        Scores.from_rows(*columns(rows))


def test_tables_must_fit() -> None:
    people, seeds = np.array([1, 2]), np.array([0, 1, 2])
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        Scores(seeds, (people,), (np.ones((2, 3)),))
    with pytest.raises(ValueError, match="one value"):
        Scores(seeds, (), ())
