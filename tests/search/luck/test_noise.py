"""The noise of one training, from trials that are complete."""

from __future__ import annotations

import numpy as np
import pytest

from search.luck.noise import Noise, noise_in_words, noise_of


def table(rng: np.random.Generator, trials: int, effects: tuple[float, ...], sd: float, spread: float = 0.05) -> list:
    qualities = 0.5 + spread * rng.normal(size=trials)
    return (qualities[:, None] + np.array(effects) + sd * rng.normal(size=(trials, len(effects)))).tolist()


def test_two_trials_on_two_parts_by_hand() -> None:
    """Grand mean 5, trials 4 and 6, parts 6 and 4: residuals +-1, four of them, one degree of freedom."""
    noise = noise_of([[6, 2], [6, 6]], ["a", "b"])
    assert noise == Noise(2.0, 1, (1.0, -1.0))


def test_two_looks_at_one_part_by_hand() -> None:
    assert noise_of([[1.0], [3.0], [9.0]], ["a", "a", "b"]) == Noise(2.0**0.5, 1, (0.0,))


@pytest.mark.parametrize(
    ("rows", "points"),
    [
        ([], []),
        ([[0.1, 0.2]], ["a"]),
        ([[0.1], [0.2], [0.3]], ["a", "b", "c"]),
        ([[], []], ["a", "a"]),
    ],
)
def test_where_nothing_is_repeated_nothing_is_known(rows: list[list[float]], points: list[str]) -> None:
    assert noise_of(rows, points) is None
    assert "not known" in noise_in_words(None)


def test_it_is_right_on_average_with_parts_and_looks_together(rng: np.random.Generator) -> None:
    effects, sd = np.array([0.1, -0.05, -0.05]), 0.02
    variances, degrees = [], set()
    for _ in range(400):
        looks = [(0.5 + effects + sd * rng.normal(size=3)).tolist() for _ in range(4)]
        rows = table(rng, 8, tuple(effects), sd) + looks
        noise = noise_of(rows, [*range(8), "x", "x", "y", "y"])
        assert noise is not None
        variances.append(noise.sd**2)
        degrees.add(noise.degrees)
    assert np.mean(variances) == pytest.approx(sd**2, rel=0.06)
    assert len(degrees) > 1  # of the better half, with or without the repeated ones


def test_settings_that_learn_nothing_do_not_count(rng: np.random.Generator) -> None:
    """They know no difference between folds, which would pass for luck."""
    good = table(rng, 10, (0.1, -0.1), sd=0.01)
    poor = [[0.01, 0.01]] * 10
    noise = noise_of([*good, *poor], list(range(20)))
    assert noise is not None
    assert noise.sd < 0.02
    assert noise.degrees == 9


def test_it_is_said_with_what_it_rests_on() -> None:
    assert noise_in_words(Noise(0.01234, 14, (0.0, 0.0))) == "noise of one training: 0.012 (from 14 residuals)"
