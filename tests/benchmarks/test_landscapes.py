"""Every landscape keeps its contract: nothing beats its optimum; what it tells hangs on seed, fold and values."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import optuna
import pytest

from benchmarks.landscapes import LANDSCAPES, Landscape, Values
from benchmarks.landscapes.contract import Epoch
from benchmarks.landscapes.costs import hypervolume
from benchmarks.landscapes.deceptive import Deceptive
from owkd.errors import DivergedError
from search.space import distributions, published_point, resolve, single
from search.space.parameters import suggest

NAMES = list(LANDSCAPES)


def drawn_points(name: str, number: int, seed: int = 0) -> Iterator[Values]:
    """Points of a landscape's space, as a random search draws them."""
    space = LANDSCAPES[name].configuration(0).search.space
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    for _ in range(number):
        yield suggest(study.ask(), space)


def worth(land: Landscape, values: Values) -> float:
    return land.worth(values) if len(land.objectives) == 1 else land.set_worth([values])


@pytest.mark.parametrize("name", NAMES)
def test_thousands_of_random_points_do_not_beat_the_optimum(name: str) -> None:
    points = list(drawn_points(name, 1000))
    for seed in range(4):
        land = LANDSCAPES[name].drawn(seed)
        worths = [worth(land, values) for values in points]
        together = max(worths) if len(land.objectives) == 1 else land.set_worth(points)
        assert 0.2 * land.optimum() < together <= land.optimum()
        assert np.median(worths) < 0.9 * land.optimum()


@pytest.mark.parametrize("name", NAMES)
def test_the_optimum_can_all_but_be_reached(name: str) -> None:
    """By climbing from the best of some random points: the optimum is no bound that nothing comes near to."""
    land, space = LANDSCAPES[name].drawn(3), LANDSCAPES[name].configuration(3).search.space
    if len(land.objectives) > 1:
        pytest.skip("a set is no point that could climb")
    known, rng = distributions(space), np.random.default_rng(0)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    starts = []
    for _ in range(200):
        trial = study.ask()
        starts.append((land.worth(suggest(trial, space)), trial.number, trial.params))
    best, _, params = max(starts)
    width = 0.3
    for _ in range(3000):
        moved = dict(params)
        for param in rng.choice(list(params), size=min(len(params), 2), replace=False):
            scale = known[param]
            if not isinstance(scale, optuna.distributions.FloatDistribution):
                continue
            low, high = (math.log(end) if scale.log else end for end in (scale.low, scale.high))
            at = math.log(params[param]) if scale.log else params[param]
            at = min(max(at + rng.normal(0, width) * (high - low), low), high)
            moved[param] = min(max(math.exp(at) if scale.log else at, scale.low), scale.high)
        found = land.worth(resolve(space, moved))
        if found > best:
            best, params = found, moved
        else:
            width = max(width * 0.996, 0.003)
    assert best > (0.8 if name == "conditional" else 0.95) * land.optimum()


@pytest.mark.parametrize("name", NAMES)
def test_the_published_point_is_inside(name: str) -> None:
    config = LANDSCAPES[name].configuration(0)
    point = published_point(config)
    known = distributions(config.search.space)
    assert point.params
    for param, value in point.params.items():
        assert known[param]._contains(known[param].to_internal_repr(value)), param
    land = LANDSCAPES[name].drawn(0)
    assert 0 < worth(land, point.values) < land.optimum()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_hangs_on_problem_seed_and_values(name: str) -> None:
    land, again, other = (LANDSCAPES[name].drawn(seed) for seed in (0, 0, 1))
    differs = 0
    for values in drawn_points(name, 20):
        for fold in land.folds:
            told = land.told(values, fold, 5)
            assert str(told) == str(again.told(values, fold, 5))  # NaN equals no NaN
            differs += str(told) != str(land.told(values, fold, 6))
            differs += str(told) != str(other.told(values, fold, 5))
            truth = land.true_curve(values, fold)
            off = [each["val/mAP"] - true for each, true in zip(told, truth, strict=False)]
            assert max(map(abs, off), default=0) < 6 * (land.epoch_noise + land.luck)
    assert differs > 30


@pytest.mark.parametrize("name", NAMES)
def test_a_training_reports_what_the_landscape_tells_of_its_configuration(name: str, tmp_path) -> None:
    land, config = LANDSCAPES[name].drawn(2), LANDSCAPES[name].configuration(2)
    for values in drawn_points(name, 10):
        own = single(config, values)
        assert land.values_of(own) == values
        fold, told = land.folds[-1], land.told(values, land.folds[-1], 7)
        reported: list[Epoch] = []
        try:
            land.train(own, reported.append, fold=fold, directory=tmp_path, seed=7)
        except DivergedError:
            assert math.isnan(told.pop()["val/mAP"])
        assert [epoch.metrics for epoch in reported] == told


def test_conditions_hide_what_they_should() -> None:
    seen = [frozenset(values) for values in drawn_points("conditional", 200)]
    assert {len(names) for names in seen} == {10, 11}
    assert len(set(seen)) == 4
    assert len(set().union(*seen)) == 12


def test_early_leaders_lose() -> None:
    land = Deceptive.drawn(0)
    setting = published_point(land.configuration(0)).values
    slow, fast = ({**setting, "train.learning_rate": 10 ** (land.rate + faster)} for faster in (0.0, 0.8))
    for rung in (2, 6):
        assert land.true_curve(fast, "Fold1")[rung - 1] > land.true_curve(slow, "Fold1")[rung - 1]
    assert land.worth(fast) < 0.95 * land.worth(slow)


def test_ahypervolume_by_hand() -> None:
    assert hypervolume([(0.5, 1.0), (0.25, 2.0), (0.2, 1.5), (-1.0, 9.0)]) == pytest.approx(0.5 + 0.25)
