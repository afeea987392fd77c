"""What is said of a trial beside its figure."""

from __future__ import annotations

import pytest

from search.trials.view import stopped_at


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("complete", ""),
        ("pruned", " at epoch 3 of 12"),
        ("diverged", " at epoch 3 of 12"),
        ("running", " at epoch 3 of 12"),
    ],
)
def test_a_figure_over_fewer_epochs_says_so(state: str, words: str) -> None:
    assert stopped_at(state, 3, 12) == words
