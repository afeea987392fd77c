"""The model's parts against slow definitions, and what a point is to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from owkd.config import parse_config
from search.samplers.model import acquisition, process
from search.samplers.model.beliefs import EACH_TIME, fitted, standardised
from search.samplers.model.points import Points
from search.samplers.model.process import ALIKE, LEVEL, Hyper, Posterior, Rows, fit
from search.space import resolve

SPACE: dict[str, Any] = {
    "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.stage_weights": {"type": "simplex"},
    "train.batch_size": {"type": "int", "low": 4, "high": 32, "step": 4},
    "train.epochs": {"type": "int", "low": 2, "high": 64, "log": True},
    "distill.temperature": {"type": "categorical", "choices": [2.0]},
    "distill.logit": {"type": "float", "low": 0, "high": 1, "when": {"train.precision": "bf16"}},
    "distill.spectrum": {
        "type": "float",
        "low": 0,
        "high": 1,
        "step": 0.25,
        "when": {"train.batch_size": [4, 8], "distill.temperature": 2.0},
    },
}


def points() -> tuple[Points, Any]:
    space = parse_config({"data": {"root": "d", "dataset": "s"}, "search": {"space": SPACE}}).search.space
    return Points(space), space


def test_a_point_comes_back_from_its_genes(rng: np.random.Generator) -> None:
    known, space = points()
    for genes in rng.random((50, len(known.choices))):
        params = known.to_params(genes)
        again = known.to_params(known.of(params))
        before, after = (resolve(space, {"distill.temperature": 2.0, **each}) for each in (params, again))
        assert before.keys() == after.keys()
        weights = before.pop("distill.stage_weights"), after.pop("distill.stage_weights")
        assert weights[1] == pytest.approx(weights[0], abs=1e-6)
        assert {path: _rounded(value) for path, value in after.items()} == {
            path: _rounded(value) for path, value in before.items()
        }
        for name, value in params.items():
            assert known.params[name]._contains(known.params[name].to_internal_repr(value))


def _rounded(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def test_features_are_those_of_the_values_and_say_what_is_searched(rng: np.random.Generator) -> None:
    known, _ = points()
    genes = rng.random((200, len(known.choices)))
    again = np.array([known.of(known.to_params(each)) for each in genes])
    np.testing.assert_allclose(known.features(again), known.features(genes), atol=1e-6)
    bf16, small = genes[:, 0] >= 0.5, np.array([known.to_params(each)["train.batch_size"] <= 8 for each in genes])
    logit, spectrum = known.features(genes)[:, -4:-2], known.features(genes)[:, -2:]
    assert (logit[:, 1] == bf16).all()
    assert (spectrum[:, 1] == small).all()
    assert (logit[~bf16, 0] == 0.5).all()
    assert len({*spectrum[small, 0]}) == 5


def test_any_two_choices_are_equally_far_apart() -> None:
    space = {"train.precision": {"type": "categorical", "choices": ["fp32", "bf16", "fp16"]}}
    known = Points(parse_config({"data": {"root": "d", "dataset": "s"}, "search": {"space": space}}).search.space)
    features = known.features(np.array([[0.1], [0.5], [0.9]]))
    distances = np.linalg.norm(features[:, None] - features[None], axis=-1)
    np.testing.assert_allclose(distances, 1 - np.eye(3))


def seen(rng: np.random.Generator, n: int = 12, d: int = 3) -> Rows:
    return Rows(
        rng.random((n, d)),
        rng.choice([0.0, 0.3, 0.7], n),
        rng.normal(size=n),
        rng.uniform(1, 3, n),
        rng.integers(n // 2, size=n),
    )


HYPER = Hyper(np.array([0.3, 0.7, 1.5]), noise=0.05, signal=1.3, early=0.6)


def slow_covariance(rows: Rows, hyper: Hyper, i: int, x: np.ndarray, u: float) -> float:
    r = math.sqrt(5) * math.sqrt(sum(((rows.features[i] - x) / hyper.lengths) ** 2))
    return LEVEL + hyper.signal * (1 + r + r * r / 3) * math.exp(-r) * (1 + hyper.early * rows.lag[i] * u)


def slow_gram(rows: Rows, hyper: Hyper) -> np.ndarray:
    gram = np.empty((len(rows.values),) * 2)
    for i in range(len(gram)):
        for j in range(len(gram)):
            share = 1.0 if i == j else ALIKE if rows.trial[i] == rows.trial[j] else 0.0
            noise = hyper.noise * share * rows.scale[i] * rows.scale[j]
            gram[i, j] = slow_covariance(rows, hyper, i, rows.features[j], rows.lag[j]) + noise
    return gram


def test_the_posterior_is_the_textbook_s(rng: np.random.Generator) -> None:
    rows, asked = seen(rng), rng.random((4, 3))
    mean, deviation = Posterior(rows, HYPER).at(asked)
    inverse = np.linalg.inv(slow_gram(rows, HYPER))
    for i, x in enumerate(asked):
        cross = np.array([slow_covariance(rows, HYPER, j, x, 0.0) for j in range(len(rows.values))])
        assert mean[i] == pytest.approx(cross @ inverse @ rows.values, abs=1e-5)
        assert deviation[i] == pytest.approx(math.sqrt(LEVEL + HYPER.signal - cross @ inverse @ cross), abs=1e-5)


def test_the_evidence_is_the_normal_density_and_its_slope_is_right(rng: np.random.Generator) -> None:
    rows = seen(rng)
    theta = np.log([*HYPER.lengths, HYPER.noise, HYPER.signal, HYPER.early])
    value, slope = process._evidence(rows, rows.noise(), theta)
    _, logarithm = np.linalg.slogdet(slow_gram(rows, HYPER))
    slow = -0.5 * (rows.values @ np.linalg.solve(slow_gram(rows, HYPER), rows.values) + logarithm)
    assert value == pytest.approx(slow, abs=1e-4)
    for place in range(len(theta)):
        step = 1e-5 * np.eye(len(theta))[place]
        ahead, behind = (process._evidence(rows, rows.noise(), theta + sign * step)[0] for sign in (1, -1))
        assert slope[place] == pytest.approx((ahead - behind) / 2e-5, abs=1e-4)


def test_the_fit_finds_which_features_matter(rng: np.random.Generator) -> None:
    features = rng.random((60, 3))
    values = standardised(np.sin(6 * features[:, 0]) + 0.01 * rng.normal(size=60))
    hyper = fit(Rows(features, np.zeros(60), values, np.ones(60), np.arange(60)))
    assert hyper.lengths[0] < 0.6 * min(hyper.lengths[1:])


def test_points_under_way_count_as_rows_that_were_expected(rng: np.random.Generator) -> None:
    rows, asked, elsewhere = seen(rng), rng.random((2, 3)), rng.random((process.BLOCK + 1, 3))
    before = Posterior(rows, HYPER)
    expected, unsure = before.at(asked)
    after = before.believing(asked)
    joined = Rows(
        np.vstack([rows.features, asked]),
        np.append(rows.lag, [0.0, 0.0]),
        np.append(rows.values, expected),
        np.append(rows.scale, [1.0, 1.0]),
        np.append(rows.trial, rows.trial.max() + np.array([1, 2])),
    )
    np.testing.assert_allclose(after.at(elsewhere), Posterior(joined, HYPER).at(elsewhere), atol=1e-6)
    np.testing.assert_array_equal(after.mean(elsewhere), before.at(elsewhere)[0])
    assert (after.at(asked)[1] < unsure).all()


@pytest.mark.parametrize("z", [3.0, 0.0, -0.9, -1.1, -6.0, -20.0])
def test_expected_improvement_is_its_integral(z: float) -> None:
    over, _ = quad(lambda t: t * math.exp(z * t - t * t / 2), 0, 40, epsabs=0)  # of an improvement t, over phi(z)
    slow = norm.logpdf(z) + math.log(over)
    assert acquisition.log_h(np.array([z]))[0] == pytest.approx(slow, abs=1e-5)


def test_directions_add_up_to_the_volume_that_points_add(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acquisition, "SAMPLES", 4000)
    monkeypatch.setattr(acquisition, "BLUR", 1e-3)
    known = np.array([[0.0, 1.0, 2.0, 1.0], [2.0, 1.5, 0.0, 1.0]])  # the area of which is 1 x 1.5, above (0, 0)
    improvement = acquisition.FrontImprovement(known, rng)
    points = np.array([[1.0, 2.0, 0.5, 3.0], [1.0, 1.0, 2.0, 3.0]])
    expected = np.exp(improvement.log_expected(points, np.full_like(points, 1e-6))) * acquisition.BLUR
    quarter_disc = math.pi / 4
    assert expected * quarter_disc == pytest.approx([0.0, 1.0, 0.25, 7.5], rel=0.1, abs=0.01)
    assert improvement.level[3] == 0
    assert improvement.level.sum() == 4000


def test_hopeless_points_still_have_an_order() -> None:
    values = acquisition.log_h(np.array([-50.0, -1e3, -1e5, -1e7]))
    assert np.isfinite(values).all()
    assert (np.diff(values) < 0).all()


def test_a_training_that_failed_does_not_flatten_the_others() -> None:
    good = np.linspace(0.5, 0.6, 20)
    with_failure = standardised(np.append(good, -1000.0))
    assert np.ptp(with_failure[:20]) > 1.0
    assert with_failure[-1] == with_failure.min()


def test_hyperparameters_change_with_each_trial_at_first_then_with_each_tenth() -> None:
    assert [fitted(n) for n in (0, 5, EACH_TIME)] == [0, 5, EACH_TIME]
    for number in range(1, 3000):
        assert 0 <= number - fitted(number) <= 0.1 * number + 1
        assert fitted(number) == fitted(fitted(number))
