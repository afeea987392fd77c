"""What a pilot's figures say: by hand, against scipy, and by how often its interval covers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from owkd.config import parse_config
from search.pilot import Pilot, pilot_in_words
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED


def pilot_of(published: list[float], none: list[float]) -> Pilot:
    figures = {
        name: {str(10 + seed): value for seed, value in enumerate(values)}
        for name, values in ((PUBLISHED, published), (NO_DISTILLATION_NAME, none))
    }
    return Pilot("runs/x-pilot", "Fold1", "2026-01-02T03:04:05+00:00", figures, {})


def test_the_spread_is_pooled_within_settings() -> None:
    pilot = pilot_of([0.1, 0.2, 0.3], [0.7, 0.9])
    assert pilot.degrees == 3
    assert pilot.spread.value == pytest.approx(math.sqrt((0.02 + 0.02) / 3))
    low, high = (math.sqrt(0.04 / stats.chi2.ppf(tail, 3)) for tail in (0.975, 0.025))
    assert pilot.spread[1:] == pytest.approx((low, high))


def test_its_interval_covers() -> None:
    rng = np.random.default_rng(5)
    pilots = [pilot_of(*rng.normal(0.5, 0.02, (2, 4)).tolist()) for _ in range(1500)]
    covered = np.mean([pilot.spread.low <= 0.02 <= pilot.spread.high for pilot in pilots])
    assert covered == pytest.approx(0.95, abs=0.0225)  # four standard errors


def test_equal_seeds_and_the_difference() -> None:
    published, none = [0.50, 0.52, 0.49, 0.55, 0.51], [0.40, 0.43, 0.39, 0.45, 0.42]
    pilot = pilot_of(published, none)
    found = pilot.correlation()
    assert found is not None
    expected = stats.pearsonr(published, none)
    assert found == pytest.approx((expected.statistic, *expected.confidence_interval(0.95)))
    difference = pilot.difference(PUBLISHED, NO_DISTILLATION_NAME)
    assert difference is not None
    assert difference.value == pytest.approx(np.mean(published) - np.mean(none))
    assert difference.low < difference.value < difference.high
    assert pilot_of(published[:3], none[:3]).correlation() is None
    assert pilot_of([0.5], none).difference(PUBLISHED, NO_DISTILLATION_NAME) is None


def test_figures_are_paired_by_seed_and_not_by_place() -> None:
    figures = {
        PUBLISHED: {"9": 0.1, "10": 0.2, "11": 0.3, "12": 0.4},
        NO_DISTILLATION_NAME: {"12": 0.4, "11": 0.3, "10": 0.2, "9": 0.1},
    }
    pilot = Pilot("r", "Fold1", "now", figures, {})
    found = pilot.correlation()
    assert found is not None
    assert found.value == pytest.approx(1)
    assert pilot.of(NO_DISTILLATION_NAME) == [0.1, 0.2, 0.3, 0.4]


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    pilot = pilot_of([0.1, 0.2], [0.3, 0.5])
    assert Pilot.read(tmp_path) is None
    pilot.write(tmp_path)
    assert Pilot.read(tmp_path) == pilot


def test_in_words() -> None:
    config = parse_config({"data": {"root": "d", "dataset": "s"}})
    lines = list(pilot_in_words(pilot_of([0.50, 0.52, 0.48, 0.50], [0.46, 0.46, 0.50, 0.46]), config))
    assert lines == [
        "runs/x-pilot, Fold1: 4 of published weights and 4 of no distillation; a training's validation mAP spreads by "
        "1.8 points (95 % interval 1.2 to 4.0, 6 degrees of freedom)",
        "with it a lead of 2.0 points takes 16 test seeds, and 8 to 69 over that interval; validation stands in for "
        "the test split, which stays closed",
        "equal seeds were not shown to be lucky together (correlation -0.82, 95 % interval -1.00 to +0.67); the test "
        "does not pair them",
        "published weights are +3.0 points from no distillation in validation mAP (95 % interval -0.2 to +6.2, over "
        "the luck of training)",
        "to use it, put into the configuration: retrain.spread: 0.0183",
    ]
    together = list(pilot_in_words(pilot_of([0.1, 0.2, 0.3, 0.4, 0.5], [0.11, 0.2, 0.3, 0.41, 0.5]), config))
    assert any(line.startswith("equal seeds are lucky together (correlation +1.00") for line in together)
    few = list(pilot_in_words(pilot_of([0.1, 0.2], [0.3, 0.5]), config))
    assert "whether equal seeds are lucky together takes four seeds or more of both settings" in few
