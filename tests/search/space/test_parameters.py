"""Parameters by path <-> Optuna: what is drawn, what is shown, and the published setting."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest

from owkd.config import NO_DISTILLATION, parse_config, with_values
from search.space.parameters import (
    columns,
    describe,
    distributions,
    flatten,
    no_distillation_point,
    published_point,
    resolve,
    suggest,
)

TEACHERS = "distill.teacher_weights"
STAGES = "distill.stage_weights"


def config_of(space, **sections):
    return parse_config({"data": {"root": "d", "dataset": "s"}, "search": {"space": space}, **sections})


def draws(space, count):
    """Values that Optuna's own random sampler proposes."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [suggest(study.ask(), space) for _ in range(count)]


def test_teacher_weights_are_uniform_on_the_simplex() -> None:
    space = config_of({TEACHERS: {"type": "simplex"}}).search.space
    weights = np.array([list(values[TEACHERS].values()) for values in draws(space, 4000)])
    np.testing.assert_allclose(weights.sum(axis=1), 3, rtol=1e-12)
    # 3 * Dirichlet(1, 1, 1): mean 1, variance 9 * (1/3)(2/3)/4 = 1/2, covariance -9 * (1/9)/4 = -1/4
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.04)
    expected = np.full((3, 3), -0.25) + np.diag([0.75] * 3)
    np.testing.assert_allclose(np.cov(weights.T), expected, atol=0.04)
    # a component of it, over 3, is Beta(1, 2): P(w < 3x) = 1 - (1 - x)^2
    for x in (0.1, 0.3, 0.5, 0.8):
        assert abs((weights < 3 * x).mean() - (1 - (1 - x) ** 2)) < 0.02


def test_stage_weights_sum_to_four() -> None:
    space = config_of({STAGES: {"type": "simplex"}}).search.space
    for values in draws(space, 50):
        assert list(values[STAGES]) == ["stage1", "stage2", "stage3", "stage4"]
        assert math.isclose(sum(values[STAGES].values()), 4)


def test_three_ones_are_the_middle_of_the_simplex() -> None:
    space = config_of({TEACHERS: {"type": "simplex"}}).search.space
    params = {f"{TEACHERS}.u_{part}": 1.0 for part in ("original", "attention", "gce")}
    assert resolve(space, params)[TEACHERS] == {"original": 1.0, "attention": 1.0, "gce": 1.0}


def test_every_kind_of_entry_is_proposed_within_its_range() -> None:
    space = config_of(
        {
            "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
            "distill.temperature": {"type": "float", "low": 0.5, "high": 4.2, "step": 0.5},
            "train.epochs": {"type": "int", "low": 5, "high": 20, "step": 5},
            "train.validation_batch_size": {"type": "int", "low": 2, "high": 64, "log": True},
            "student.depths": {"type": "categorical", "choices": [[1, 1, 9, 1], [1, 1, 1, 1]]},
            "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
        }
    ).search.space
    found = draws(space, 60)
    assert all(1e-6 <= values["distill.gram"] <= 1e-2 for values in found)
    assert {values["distill.temperature"] for values in found} <= {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4}
    assert {values["train.epochs"] for values in found} == {5, 10, 15, 20}
    assert all(2 <= values["train.validation_batch_size"] <= 64 for values in found)
    assert [1, 1, 9, 1] in [values["student.depths"] for values in found]
    assert {values["train.precision"] for values in found} == {"fp32", "bf16"}


def test_ends_off_the_grid_move_onto_it_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    space = config_of(
        {
            "distill.temperature": {"type": "float", "low": 0.5, "high": 4.2, "step": 0.5},
            "train.epochs": {"type": "int", "low": 5, "high": 21, "step": 5},
        }
    ).search.space
    found = distributions(space)
    assert [getattr(found[name], "high", None) for name in ("distill.temperature", "train.epochs")] == [4.0, 20]
    assert not recwarn.list


def test_published_setting_takes_defaults_for_distillation_and_the_base_for_all_else() -> None:
    config = config_of(
        {
            "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
            "train.learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
            TEACHERS: {"type": "simplex"},
        },
        distill={"gram": 5e-3, "spectrum": 7e-3, "teacher_weights": {"original": 2}},
        train={"learning_rate": 3e-4},
    )
    point = published_point(config)
    assert point.values == {
        "distill.gram": 1e-4,
        "train.learning_rate": 3e-4,
        TEACHERS: {"original": 1.0, "attention": 1.0, "gce": 1.0},
    }
    assert point.exact
    resolved = with_values(config, point.values)
    assert (resolved.distill.gram, resolved.distill.spectrum) == (1e-4, 7e-3)


@pytest.mark.parametrize(
    ("path", "entry", "value", "nearest"),
    [
        (STAGES, {"type": "simplex"}, "learned", dict.fromkeys(("stage1", "stage2", "stage3", "stage4"), 1.0)),
        ("distill.gram", {"type": "float", "low": 1e-3, "high": 1e-2, "log": True}, 1e-4, 1e-3),
        ("distill.temperature", {"type": "float", "low": 0.3, "high": 4.3, "step": 1}, 1.0, 1.3),
        ("train.epochs", {"type": "int", "low": 10, "high": 20}, 30, 20),
        ("train.batch_size", {"type": "categorical", "choices": [16, 32]}, 8, 16),
    ],
)
def test_what_optuna_cannot_express_runs_as_published_and_is_recorded_as_the_nearest(
    path: str, entry, value, nearest
) -> None:
    config = config_of({path: entry}, search={"scheduler": {"name": "none"}, "space": {path: entry}})
    point = published_point(config)
    assert point.values == {path: value}
    assert not point.exact
    expressed = resolve(config.search.space, point.params)[path]
    if isinstance(nearest, dict):
        assert expressed == pytest.approx(nearest)
    else:
        assert expressed == pytest.approx(nearest)
    for name, found in distributions(config.search.space).items():
        assert found._contains(found.to_internal_repr(point.params[name]))


def test_a_part_of_learned_weights_keeps_the_whole_learned() -> None:
    config = config_of({f"{STAGES}.stage1": {"type": "float", "low": 0.5, "high": 2}})
    point = published_point(config)
    assert point.values == {STAGES: "learned"}
    assert not point.exact
    assert with_values(config, point.values).distill.stage_weights == "learned"


def test_columns_are_flat_and_typed() -> None:
    config = config_of(
        {
            TEACHERS: {"type": "simplex"},
            STAGES: {"type": "simplex"},
            "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2},
            "train.batch_size": {"type": "categorical", "choices": [8, 16]},
            "student.depths": {"type": "categorical", "choices": [[1, 1, 9, 1], [1, 1, 1, 1]]},
        }
    )
    types = columns(config)
    assert types[f"{TEACHERS}.gce"] == types["distill.gram"] == "float"
    assert types["train.batch_size"] == "int"
    assert types["student.depths"] == "text"
    published = flatten(types, published_point(config).values)
    assert published.keys() == types.keys()
    assert published[f"{TEACHERS}.gce"] == 1.0
    assert published[f"{STAGES}.stage1"] is None
    drawn = flatten(types, draws(config.search.space, 1)[0])
    assert drawn["student.depths"] in ("[1, 1, 9, 1]", "[1, 1, 1, 1]")
    assert sum(drawn[f"{STAGES}.stage{i}"] for i in range(1, 5)) == pytest.approx(4)


def test_values_are_described_on_one_short_line() -> None:
    values = {"distill.gram": 0.000123456, TEACHERS: {"original": 1.5, "attention": 1.0, "gce": 0.5}, STAGES: "learned"}
    assert describe(values) == "gram 0.000123, teacher_weights 1.50/1.00/0.50, stage_weights learned"


CONDITIONAL = {
    "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
    "train.learning_rate": {
        "type": "float",
        "low": 1e-5,
        "high": 1e-2,
        "log": True,
        "when": {"train.precision": "bf16"},
    },
    STAGES: {"type": "simplex", "when": {"train.precision": "fp32", "student.preset": ["micro", "tiny"]}},
    "student.preset": {"type": "categorical", "choices": ["micro", "tiny", "small"]},
    "train.epochs": {"type": "fixed", "value": 7},
}


def test_an_entry_is_drawn_where_its_conditions_hold_and_has_no_value_elsewhere() -> None:
    space = config_of(CONDITIONAL).search.space
    found = draws(space, 80)
    for values in found:
        assert ("train.learning_rate" in values) == (values["train.precision"] == "bf16")
        assert (STAGES in values) == (values["train.precision"] == "fp32" and values["student.preset"] != "small")
        assert values["train.epochs"] == 7
    assert {len(values) for values in found} == {3, 4}
    assert len({str(values.get(STAGES)) for values in found}) > 10


def test_a_field_whose_condition_does_not_hold_keeps_the_configurations_value_and_is_null() -> None:
    config = config_of(CONDITIONAL, train={"learning_rate": 3e-4})
    values = next(values for values in draws(config.search.space, 20) if "train.learning_rate" not in values)
    assert with_values(config, values).train.learning_rate == 3e-4
    flat = flatten(columns(config), values)
    assert flat["train.learning_rate"] is None
    assert flat["train.epochs"] == 7


def test_what_is_read_back_from_the_study_is_what_was_drawn() -> None:
    space = config_of(CONDITIONAL).search.space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        trial = study.ask()
        assert suggest(trial, space) == resolve(space, trial.params)


def test_a_condition_on_a_condition_that_does_not_hold_does_not_hold_either() -> None:
    space = config_of(
        {
            "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
            "student.preset": {
                "type": "categorical",
                "choices": ["micro", "tiny"],
                "when": {"train.precision": "bf16"},
            },
            "train.weight_decay": {"type": "float", "low": 0, "high": 1, "when": {"student.preset": ["micro", "tiny"]}},
        }
    ).search.space
    for values in draws(space, 20):
        assert ("train.weight_decay" in values) == (values["train.precision"] == "bf16")


def test_the_published_setting_respects_conditions() -> None:
    """micro at fp32: the learning rate is not searched there, the stage weights are learned."""
    point = published_point(config_of(CONDITIONAL))
    assert point.values == {"train.precision": "fp32", "student.preset": "micro", STAGES: "learned", "train.epochs": 7}
    assert "train.learning_rate" not in point.params
    assert not point.exact
    space = {**CONDITIONAL, STAGES: {"type": "simplex", "when": {"student.preset": "small"}}}
    point = published_point(config_of(space))
    assert point.values.keys() == {"train.precision", "student.preset", "train.epochs"}
    assert point.params == {"train.precision": "fp32", "student.preset": "micro"}
    assert point.exact


OFF = {"spectrum": 0.0, "gce_gram": 0.0, "gce_spectrum": 0.0, "logit": 0.0}
FROM_0 = {"type": "float", "low": 0.0, "high": 1e-2}


def test_no_distillation_switches_every_term_off_and_leaves_all_else_as_in_the_published_setting() -> None:
    space = {
        "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
        "distill.logit": {"type": "fixed", "value": 0.5},
        "train.batch_size": {"type": "categorical", "choices": [8, 16]},
        TEACHERS: {"type": "simplex"},
    }
    config = config_of(space, distill={"gce_gram": 5e-3}, train={"batch_size": 16})
    point = no_distillation_point(config)
    trained = with_values(config, point.values)
    assert trained.distill == NO_DISTILLATION
    assert trained.train == with_values(config, published_point(config).values).train
    assert not point.exact
    assert flatten(columns(config), point.values)["distill.gram"] == 0.0


@pytest.mark.parametrize(
    ("space", "distill", "exact"),
    [
        ({"distill.gram": FROM_0}, OFF, True),
        ({"distill.gram": FROM_0, STAGES: {"type": "simplex"}}, OFF, True),  # weights of nothing
        ({"distill.gram": {**FROM_0, "low": 1e-6}}, OFF, False),
        ({"distill.gram": FROM_0}, {**OFF, "logit": 0.1}, False),
        ({"distill.gram": FROM_0, "distill.logit": {"type": "fixed", "value": 0.1}}, OFF, False),
        ({"distill.gram": FROM_0, "train.batch_size": {"type": "categorical", "choices": [16, 32]}}, OFF, False),
        ({"train.batch_size": {"type": "categorical", "choices": [8, 16]}}, {**OFF, "gram": 0.0}, True),
    ],
)
def test_no_distillation_is_a_point_of_a_space_that_can_switch_all_terms_off(space, distill, exact: bool) -> None:
    config = config_of(space, distill=distill)
    point = no_distillation_point(config)
    assert point.exact == exact
    assert with_values(config, resolve(config.search.space, point.params)).distill.enabled != exact or not exact


@pytest.mark.parametrize(
    "entry", [{"type": "fixed", "value": {"gram": 1e-3}}, {"type": "categorical", "choices": [{}]}]
)
def test_no_distillation_of_a_space_that_names_the_whole_section(entry) -> None:
    config = config_of({"distill": entry})
    assert with_values(config, no_distillation_point(config).values).distill == NO_DISTILLATION
