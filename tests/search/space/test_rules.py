"""What a search must hold: every mistake at once, and nothing that a training would not mind."""

from typing import Any

import pytest

from owkd.config import parse_config
from owkd.errors import ConfigError
from search.space import parse_search_config


def raw(**sections: Any) -> dict[str, Any]:
    return {"data": {"root": "/data", "dataset": "Some_thermal"}, **sections}


SPACE = {"distill.logit": {"type": "float", "low": 0.1, "high": 1.0}}


def problems(**sections: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_search_config(raw(**sections))
    return caught.value.problems


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"search": {"space": {"distill.gram": {"type": "simplex"}}}}, "a simplex fits distill.teacher_weights and"),
        (
            {"search": {"space": {"distill.gram": {"type": "float", "low": -1.0, "high": 1.0}}}},
            "would propose -1.0",
        ),
        (
            {"search": {"space": {"student.preset": {"type": "categorical", "choices": ["micro", "mini"]}}}},
            "would propose 'mini'",
        ),
    ],
)
def test_one_mistake_is_named(sections: dict[str, Any], words: str) -> None:
    (problem,) = problems(**sections)
    assert words in problem


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        # a mistake in one place hides none in another, though the whole tree could not be built
        (
            {"student": {"preset": 7}, "train": {"epochs": 2}, "search": {"space": SPACE}},
            ("student.preset: ", "grace_epochs must be at most train.epochs, but got 3 and 2"),
        ),
        (
            {"data": {"dataset": "x"}, "search": {"space": {"distill.gra": SPACE["distill.logit"]}}},
            ("data.root: is required", "search.space.distill.gra: names no field"),
        ),
        # and a default in the place of a mistake is no mistake of the user's
        (
            {"train": {"epochs": "ten"}, "search": {"space": SPACE, "scheduler": {"grace_epochs": 40}}},
            ("train.epochs: ",),
        ),
        ({"trian": {"epochs": 50}, "search": {"space": SPACE, "scheduler": {"grace_epochs": 40}}}, ("trian: unknown",)),
        (
            {
                "search": {
                    "space": {
                        "student.preset": {"type": "categorical", "choices": []},
                        "distill.logit": {**SPACE["distill.logit"], "when": {"student.preset": "nano"}},
                    }
                }
            },
            ("search.space.student.preset.choices: ",),
        ),
    ],
)
def test_mistakes_of_every_kind_are_named_together(sections: dict[str, Any], words: tuple[str, ...]) -> None:
    found = problems(**sections)
    assert len(found) == len(words)
    for line, start in zip(found, words, strict=True):
        assert start in line


def test_grace_beyond_the_epochs_matters_only_to_a_search() -> None:
    assert parse_search_config(raw(train={"epochs": 1})).train.epochs == 1
    space = {"distill.logit": {"type": "float", "low": 0.1, "high": 1.0}}
    assert "grace_epochs must be at most train.epochs" in problems(train={"epochs": 1}, search={"space": space})[0]


@pytest.mark.parametrize(
    ("entry", "most"),
    [
        ({"type": "int", "low": 1, "high": 2}, 2),
        ({"type": "categorical", "choices": [2, 1]}, 2),
        ({"type": "fixed", "value": 1}, 1),
    ],
)
def test_grace_beyond_the_epochs_that_the_space_proposes_is_refused(entry: dict[str, Any], most: int) -> None:
    (problem,) = problems(search={"space": {"train.epochs": entry}})
    assert problem.startswith(
        f"search.scheduler.grace_epochs must be at most train.epochs, but got 3 and at most {most} in search.space"
    )


@pytest.mark.parametrize("epochs", [{"type": "int", "low": 1, "high": 3}, {"type": "fixed", "value": 3}])
def test_a_trial_that_is_shorter_than_the_grace_is_allowed(epochs: dict[str, Any]) -> None:
    config = parse_search_config(raw(train={"epochs": 2}, search={"space": {"train.epochs": epochs}}))
    assert config.train.epochs == 2


PRESET = {"type": "categorical", "choices": ["nano", "micro"]}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"train.precision": {"type": "categorical", "choices": ["fp32", "fp32"]}}, "'fp32' stands there twice"),
        ({"distill.gram": {"type": "categorical", "choices": [0.1, float("nan")]}}, "plain finite values, but got nan"),
        (
            {"distill.gram": {"type": "float", "low": 0, "high": 1, "step": 2}},
            "step must be at most high - low, but got 2.0 for 0.0 to 1.0",
        ),
        (
            {
                "distill.teacher_weights": {"type": "simplex"},
                "distill.teacher_weights.gce": {"type": "float", "low": 0, "high": 2},
            },
            "teacher_weights.gce: must not be searched beside distill.teacher_weights",
        ),
        (
            {
                "distill.gram": {"type": "float", "low": 0, "high": 1},
                "distill.logit": {"type": "float", "low": 0, "high": 1, "when": {"distill.gram": 0.5}},
            },
            "must name a categorical or fixed entry, but distill.gram is float",
        ),
        (
            {"distill.logit": {"type": "float", "low": 0, "high": 1, "when": {"train.precision": "bf16"}}},
            "must name another entry of the space; add train.precision to it",
        ),
        (
            {
                "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
                "distill.logit": {"type": "float", "low": 0, "high": 1, "when": {"train.precision": "fp16"}},
            },
            "must be a value of train.precision ('fp32', 'bf16'), but got 'fp16'",
        ),
        (
            {
                "train.precision": {"type": "fixed", "value": "fp32", "when": {"student.preset": "nano"}},
                "student.preset": {**PRESET, "when": {"train.precision": "fp32"}},
            },
            "must not lead back to train.precision",
        ),
        (
            {"train.batch_size": {"type": "int", "low": 8, "high": 32}},
            "train.batch_size: would propose 9 (and 11 more like it), but train: batch_size must be a multiple of",
        ),
        (
            {"student.preset": PRESET, "student.init": {"type": "categorical", "choices": ["random", "imagenet"]}},
            "student.preset: would propose 'nano' with student.init: would propose 'imagenet', but student: init must",
        ),
    ],
)
def test_a_space_that_can_propose_what_is_wrong_is_refused(space: dict[str, Any], words: str) -> None:
    found = problems(search={"space": space})
    assert any(words in problem for problem in found), found


def test_a_condition_keeps_a_wrong_combination_out() -> None:
    space = {
        "student.preset": PRESET,
        "student.init": {"type": "categorical", "choices": ["random", "imagenet"], "when": {"student.preset": "micro"}},
        "train.batch_size": {"type": "int", "low": 8, "high": 32, "step": 4},
        "student.depths": {"type": "categorical", "choices": [[1, 1, 1, 1], [1, 1, 3, 1]]},
    }
    assert len(parse_search_config(raw(search={"space": space})).search.space) == 4


def test_mistakes_of_the_space_are_all_named_at_once() -> None:
    space = {
        "train.batch_size": {"type": "int", "low": 8, "high": 32},
        "train.precision": {"type": "categorical", "choices": ["fp32", "fp16"]},
        "distil.gram": {"type": "float", "low": 0, "high": 1},
        "distill.logit": {"type": "float", "low": 0, "high": 1, "when": {"train.precision": "fp12"}},
        "student.preset": {"type": "categorical", "choices": ["micro", "micro"]},
    }
    text = "\n".join(problems(search={"space": space}))
    for words in ("would propose 9", "would propose 'fp16'", "did you mean 'distill.gram'", "'fp12'", "twice"):
        assert words in text


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"objectives": [{"metric": "latency_ms"}]}, "must begin with a metric of what the student learned"),
        (
            {"objectives": [{"metric": "val/mAP"}, {"metric": "val/mINP", "reduction": "last"}]},
            "must have one reduction, because a trial is evaluated by one model, but got auto, last",
        ),
        ({"objectives": [{"metric": "val/mAP"}, {"metric": "val/mAP"}]}, "val/mAP stands there twice"),
        (
            {"objectives": [{"metric": "val/mAP", "reduction": "mean of last 0"}, {"metric": "flops"}]},
            "`mean of last N` with N of 1 or more",
        ),
        ({"scheduler": {"metric": "flops"}}, "search.scheduler.metric must be one that changes from epoch to epoch"),
        ({"constraints": ["latency_ms < 5"]}, "METRIC <= NUMBER or METRIC >= NUMBER"),
        (
            {"sampler": {"name": "cmaes"}, "objectives": [{"metric": "val/mAP"}, {"metric": "flops"}]},
            "for several objectives, but got cmaes",
        ),
        ({"sampler": {"name": "cmaes"}, "constraints": ["flops <= 5"]}, "with constraints, but got cmaes"),
        (
            {"sampler": {"name": "cmaes"}, "space": {"distill.gram": {"type": "float", "low": 0, "high": 1}}},
            "fewer than two numbers are searched in every trial, but got cmaes for 1",
        ),
        (
            {"sampler": {"name": "random"}, "warm_start": "runs/a"},
            "one that can learn from another run (tpe, gp, cmaes)",
        ),
    ],
)
def test_what_a_search_cannot_do_is_refused(search: dict[str, Any], words: str) -> None:
    found = problems(search=search)
    assert len(found) == 1
    assert words in found[0]


def test_a_training_does_not_mind_what_a_search_must_hold() -> None:
    """`owkd.config` alone checks types and names: these belong to the search around a training."""
    wrong = {
        "space": {"distill.gram": {"type": "simplex"}},
        "sampler": {"name": "cmaes"},
        "constraints": ["flops <= 1"],
    }
    assert len(problems(search=wrong)) == 3
    assert parse_config(raw(search=wrong)).search.sampler.name == "cmaes"
    with pytest.raises(ConfigError, match="names no field"):
        parse_config(raw(search={"space": {"distill.gra": {"type": "simplex"}}}))
