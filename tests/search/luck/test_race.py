"""The race: how many of equally good settings are given up, and how many that are worse, by simulation."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from search.luck.noise import noise_of
from search.luck.race import ERROR, largest_lead, standing

GIVEN_UP = 0.05
"""of equally good settings, at most"""
SEARCHES = 100
TRIALS = 30
DIFFICULTY = (0.0, -5.0, 3.0, -2.0)
"""of up to four parts, in standard deviations of a training"""


def given_up(parts: int, qualities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One search over trials of these qualities -> which of them lose, at the end of whichever part."""
    complete: list[list[float]] = []
    lost = np.zeros(len(qualities), dtype=bool)
    for number, quality in enumerate(qualities):
        values = [float(quality + DIFFICULTY[part] + rng.normal()) for part in range(parts)]
        for seen in range(1, parts):
            leader = max(complete, key=fmean, default=[0.0] * parts)
            stands = standing(complete, leader, values[:seen], noise_of(complete, range(len(complete))))
            if stands is not None and stands.is_hopeless:
                lost[number] = True
                break
        else:
            complete.append(values)
    return lost


@pytest.mark.parametrize("parts", [2, 4])
def test_of_equally_good_settings_few_are_given_up(parts: int) -> None:
    rng = np.random.default_rng(0)
    lost = np.mean([given_up(parts, np.zeros(TRIALS), rng) for _ in range(SEARCHES)], axis=0)
    print(f"{parts} parts, all equally good: {lost[3:].mean():.3f} given up")
    assert lost[3:].mean() < GIVEN_UP + 0.01  # three standard errors
    assert lost[:3].max() == 0  # nothing is, before there is an estimate


@pytest.mark.parametrize("parts", [2, 4])
def test_most_that_are_clearly_worse_are_given_up(parts: int) -> None:
    """Every second one, by four standard deviations of a training."""
    rng = np.random.default_rng(0)
    qualities = np.tile([0.0, -4.0], TRIALS // 2)
    lost = np.mean([given_up(parts, qualities, rng) for _ in range(SEARCHES)], axis=0)
    worse, good = lost[1::2][TRIALS // 4 :].mean(), lost[::2].mean()
    print(f"{parts} parts: {worse:.3f} of those worse by 4 sd in the later half, {good:.3f} of the others")
    assert worse > 0.6
    assert good < GIVEN_UP


def test_a_leader_that_was_lucky_on_its_first_part_is_not_held_against_others() -> None:
    """The leader had 0.9 on the first part; on both it is as good as the others, and so is a trial at their 0.5."""
    rows = [[0.50, 0.40], [0.51, 0.40], [0.49, 0.40], [0.70, 0.25]]
    stands = standing(rows, rows[-1], [0.50], noise_of(rows, range(4)))
    assert stands is not None
    assert not stands.is_hopeless
    assert stands.disadvantage == pytest.approx(0.475 + 0.0925 - 0.50, abs=0.02)


def test_without_an_estimate_nobody_loses() -> None:
    rows = [[0.5, 0.4], [0.52, 0.4], [0.51, 0.41]]
    noise = noise_of(rows, "abc")
    assert standing(rows, rows[0], [0.1], noise) is not None
    assert standing(rows[:2], rows[0], [0.1], noise) is None
    assert standing(rows, rows[0], [0.1], None) is None
    assert standing(rows, rows[0], [0.1, 0.1], noise) is None  # a whole trial
    assert standing(rows, rows[0], [], noise) is None


@pytest.mark.parametrize(("rivals", "seen", "parts", "degrees"), [(1, 1, 2, 9), (20, 1, 2, 10), (20, 3, 4, 30)])
def test_the_quantile_is_that_of_many_draws(rivals: int, seen: int, parts: int, degrees: int) -> None:
    rng = np.random.default_rng(1)
    draws = 200_000
    own = rng.normal(size=draws) * (1 / seen + (1 / seen - 1 / parts) / rivals) ** 0.5
    best = rng.normal(size=(draws, rivals)).max(axis=1) / parts**0.5
    estimated = np.sqrt(rng.chisquare(degrees, size=draws) / degrees)
    share = float(np.mean(best + own > largest_lead(rivals, seen, parts, degrees) * estimated))
    assert share == pytest.approx(ERROR / (parts - 1), rel=0.06)
