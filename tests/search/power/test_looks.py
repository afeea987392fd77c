"""One error over several looks: the sum stays below the whole, and nothing better is hardly ever claimed."""

from __future__ import annotations

import pytest

from search.power import ERROR, FIRST_LOOK, error_of_look


def test_all_looks_together_stay_below_the_whole_error() -> None:
    errors = [error_of_look(number) for number in range(1, 60)]
    assert errors[:4] == [FIRST_LOOK, 0.0025, 0.00125, 0.000625] == [0.02, 0.0025, 0.00125, 0.000625]
    assert all(error > 0 for error in errors)
    assert sum(errors) <= ERROR
    assert sum(errors) == pytest.approx(ERROR)


def test_there_is_no_look_before_the_first() -> None:
    with pytest.raises(ValueError, match="number must be at least 1, but got 0"):
        error_of_look(0)
