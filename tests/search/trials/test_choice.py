"""Successive halving: the budget is kept, the better go on, and ties and failures are decided."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.trials.choice import Round, choice_rounds, least_budget, survivors


def test_a_schedule_by_hand() -> None:
    # 5, 3, 2 candidates with a seed each: 10; 14 are left. Spent 5, 3, 2: 2 -> 4; 3 -> 6; 4 -> 6; 5 is poorest: -> 10,
    # 2 left; of 10, 6, 6 the later one of the poorest: -> 8
    assert choice_rounds(5, 24) == (Round(5, 0, 2), Round(3, 2, 2), Round(2, 4, 4))
    assert choice_rounds(2, 6) == (Round(2, 0, 3),)
    assert choice_rounds(1, 0) == ()
    assert (least_budget(1), least_budget(2), least_budget(3), least_budget(10)) == (0, 2, 5, 20)


@given(candidates=st.integers(1, 40), extra=st.integers(0, 200))
def test_a_schedule_keeps_its_budget_and_halves(candidates, extra) -> None:
    budget = least_budget(candidates) + extra
    rounds = choice_rounds(candidates, budget)
    spent = sum(part.trainings for part in rounds)
    assert spent <= budget
    assert not rounds or budget - spent < 2  # two candidates' next seed would still have fitted
    sizes = [part.candidates for part in rounds]
    assert sizes == sorted(sizes, reverse=True)
    assert [math.ceil(size / 2) for size in sizes] == [*sizes[1:], 1][: len(sizes)]
    # seeds follow one another without gap or overlap
    assert [part.first for part in rounds] == [sum(other.seeds for other in rounds[:i]) for i in range(len(rounds))]
    assert all(part.seeds >= 1 for part in rounds)
    spending = [part.trainings for part in rounds]
    assert not rounds or max(spending) - min(spending) <= 2 * candidates


def test_what_is_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="budget must be at least 10 for 5 candidates, but got 9"):
        choice_rounds(5, 9)
    with pytest.raises(ValueError, match="must have candidates"):
        choice_rounds(0, 9)


def test_the_better_half_goes_on_and_of_equals_the_earlier() -> None:
    values = {"a": [0.1], "b": [0.3], "c": [0.2], "d": [0.3]}
    assert survivors(values, 2) == ["b", "d"]
    assert survivors(values, 3) == ["b", "d", "c"]
    assert survivors(values, 9) == ["b", "d", "c", "a"]
    # a mean of three numbers must not depend on their order
    assert survivors({"x": [0.1, 0.2, 0.3], "y": [0.3, 0.2, 0.1]}, 1) == ["x"]


def test_who_failed_is_out() -> None:
    values = {"a": [0.9], "b": [0.1, 0.2], "c": [0.5, math.nan], "d": [0.1, 0.1], "e": []}
    assert survivors(values, 3) == ["b", "d"]
    assert survivors({"a": [math.nan], "b": []}, 1) == []
    assert survivors({}, 1) == []


def test_halving_finds_the_best_more_often_than_equal_shares() -> None:
    """Eight candidates, one of them ahead by one standard deviation of a training; 48 trainings."""
    rng = np.random.default_rng(0)
    rounds = choice_rounds(8, 48)
    hits = even = 0
    for _ in range(2000):
        luck = rng.normal(size=(8, 40))
        luck[5] += 1.0
        names = [str(i) for i in range(8)]
        for part, keep in zip(rounds, [part.candidates for part in rounds[1:]] + [1], strict=True):
            end = part.first + part.seeds
            names = survivors({name: luck[int(name), :end].tolist() for name in sorted(names, key=int)}, keep)
        hits += names == ["5"]
        even += luck[:, :6].mean(1).argmax() == 5
    assert hits > even + 60
