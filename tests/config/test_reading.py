"""The configuration: published defaults, every mistake at once, with the nearest right name."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from owkd.config import ClaimConfig, Config, field_paths, load_config, parse_config, read_config, value_at, with_values
from owkd.errors import ConfigError
from search.retrain.claims.order import METRICS
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED


def raw(**sections: Any) -> dict[str, Any]:
    return {"data": {"root": "/data", "dataset": "Some_thermal"}, **sections}


def problems(**sections: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw(**sections))
    return caught.value.problems


def test_defaults_are_the_published_values() -> None:
    config = parse_config(raw())
    assert (config.train.learning_rate, config.train.gce_learning_rate) == (1e-4, 1e-3)
    assert (config.train.weight_decay, config.train.gce_weight_decay) == (1e-5, 1e-3)
    assert (config.train.batch_size, config.train.epochs, config.train.triplet_margin) == (8, 30, 1.0)
    distill = config.distill
    assert (distill.gram, distill.spectrum, distill.gce_gram, distill.gce_spectrum) == (1e-4,) * 4
    assert (distill.logit, distill.temperature, distill.stage_weights) == (1e-2, 1.0, "learned")
    assert distill.teacher_weights.model_dump() == {"original": 1, "attention": 1, "gce": 1}
    backbones, gce = config.teacher.backbones, config.teacher.gce
    assert (backbones.epochs, backbones.learning_rate, backbones.weight_decay, backbones.batch_size) == (
        30,
        1e-4,
        1e-5,
        8,
    )
    assert (gce.epochs, gce.learning_rate, gce.weight_decay, gce.batch_size) == (30, 1e-4, 1e-6, 12)
    assert (config.teacher.preset, config.student.preset, config.data.image_size) == ("small", "micro", 224)


def test_plain_form_is_taken_back_unchanged() -> None:
    space = {"distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}}
    config = parse_config(raw(search={"space": space}, distill={"stage_weights": {"stage1": 2}}))
    assert parse_config(config.to_dict()) == config


def test_five_mistakes_are_named_at_once() -> None:
    found = problems(
        train={"epochs": -1, "batchsize": 8},
        distill={"temperature": 0},
        search={
            "space": {
                "distil.gram": {"type": "float", "low": 0, "high": 1},
                "distill.logit": {"type": "float", "low": 2, "high": 1},
            }
        },
    )
    text = "\n".join(found)
    assert len(found) == 5
    for words in (
        "train.epochs: Input should be greater than 0, but got -1",
        "train.batchsize: unknown key; did you mean 'batch_size'?",
        "distill.temperature",
        "search.space.distil.gram: names no field of the configuration; did you mean 'distill.gram'?",
        "low must be below high, but got low=2.0 and high=1.0",
    ):
        assert words in text


def test_an_entry_of_a_space_may_be_wrong_in_its_name_and_in_itself() -> None:
    found = problems(search={"space": {"distill.gramm": {"type": "float", "low": 2, "high": 1}}})
    assert list(found) == [
        "search.space.distill.gramm: low must be below high, but got low=2.0 and high=1.0",
        "search.space.distill.gramm: names no field of the configuration; did you mean 'distill.gram'?",
    ]


def test_braces_without_quotes_are_explained(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("teacher: {checkpoint: teachers/{fold}.safetensors}")
    with pytest.raises(ConfigError, match=r'a value with braces needs quotes, as "\{fold\}.safetensors"'):
        load_config(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("name: [")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"train": {"batch_size": 8, "images_per_identity": 3}}, "multiple of images_per_identity, but got 8 and 3"),
        ({"train": {"batch_size": 4, "images_per_identity": 4}}, "a batch must hold two people"),
        (
            {"teacher": {"checkpoint": "t.safetensors"}, "retrain": {"folds": ["Fold1", "Fold2"]}},
            "teacher.checkpoint must hold {fold}",
        ),
        ({"name": "../elsewhere"}, "name"),
        ({"data": {"dataset": "x"}}, "data.root: is required"),
    ],
)
def test_one_mistake_is_named(sections: dict[str, Any], words: str) -> None:
    found = problems(**sections)
    assert len(found) == 1
    assert words in found[0]


SPACE_ENTRY = {"type": "float", "low": 0.1, "high": 1.0}


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"train": {"seed": -1}}, "train.seed"),
        ({"train": {"seed": 2**32}}, "train.seed"),
        ({"train": {"learning_rate": float("inf")}}, "train.learning_rate"),
        ({"search": {"sampler": {"seed": -1}}}, "search.sampler"),
        ({"search": {"sampler": {"name": "tpe", "seed": 2**32}}}, "search.sampler"),
        ({"search": {"seeds": [0, -1]}}, "search.seeds"),
        ({"search": {"seeds": [3, 3]}}, "search.seeds.*each must stand once, but 3 stands there twice"),
        ({"search": {"space": {"distill.logit": {**SPACE_ENTRY, "high": float("inf")}}}}, "search.space.distill.logit"),
        ({"search": {"space": {"distill.logit": {**SPACE_ENTRY, "low": float("nan")}}}}, "search.space.distill.logit"),
        ({"data": {"root": "r", "dataset": "d", "folds": ["A", "B", "A"]}}, "data.folds.*A stands there twice"),
        ({"retrain": {"folds": ["A", "A"]}}, "retrain.folds.*A stands there twice"),
    ],
)
def test_what_no_library_takes_is_refused_where_it_is_read(sections: dict[str, Any], where: str) -> None:
    (problem,) = problems(**sections)
    assert re.search(where, problem)


def test_what_is_right_of_a_tree_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(raw(train={"epochs": 5, "batch_size": 3}, student={"preset": "tiny"}, teacher=4)))
    reading = read_config(path)
    assert reading.config is None
    assert reading.partial is not None
    assert (reading.partial.config.student.preset, reading.partial.config.data, reading.partial.config.train) == (
        "tiny",
        parse_config(raw()).data,
        Config.model_validate(raw()).train,
    )
    assert set(reading.partial.missing) == {"train", "teacher"}
    path.write_text(yaml.safe_dump({"train": {"epochs": 5}}))
    reading = read_config(path)
    assert reading.partial is not None
    assert reading.partial.missing == ("data",)
    assert reading.partial.config.train.epochs == 5


def test_file_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(raw(train={"epochs": 5})))
    config = load_config(
        path, ["train.epochs=7", "distill.stage_weights={stage1: 4, stage2: 0}", "student.preset=tiny"]
    )
    assert config.train.epochs == 7
    assert value_at(config, "distill.stage_weights.stage1") == 4
    assert config.student.preset == "tiny"
    with pytest.raises(ConfigError, match="KEY=VALUE, but got 'train'"):
        load_config(path, ["train"])
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    path.write_text("a: [1")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        load_config(path)
    path.write_text("- a list")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_config(path)


def test_an_override_reaches_into_the_search_space(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(raw()))
    config = load_config(path, ["search.space.distill.gram={type: float, low: 0.1, high: 1}"])
    assert list(config.search.space) == ["distill.gram"]


def test_the_tree_is_frozen_and_values_are_replaced_in_a_copy() -> None:
    config = parse_config(raw())
    changed = with_values(config, {"distill.teacher_weights": {"original": 3, "attention": 0, "gce": 0}})
    assert changed.distill.teacher_weights.original == 3
    assert config.distill.teacher_weights.original == 1
    with pytest.raises(ValueError, match="frozen"):
        config.train.epochs = 3  # type: ignore[misc]


def test_every_searchable_path_names_a_field() -> None:
    config = Config.model_validate(raw())
    paths = field_paths()
    assert {"distill.gram", "student.preset", "train.learning_rate"} <= set(paths)
    for path in paths:
        if not path.startswith("distill.stage_weights."):  # absent while the weights are learned
            value_at(config, path)


def test_what_a_search_is_made_of_lies_on_disk() -> None:
    raw = {
        "data": {"root": "s3://bucket/data", "dataset": "s", "cache": "gs://bucket/cache"},
        "teacher": {
            "init": "imagenet",
            "init_file": "s3://bucket/small.pth",
            "checkpoint": "s3://bucket/{fold}.safetensors",
            "targets": {"folder": "s3://bucket/targets"},
        },
        "student": {"init": "imagenet", "init_file": "s3://bucket/micro.pth"},
        "search": {"warm_start": "s3://bucket/runs/before"},
    }
    with pytest.raises(ConfigError) as refused:
        parse_config(raw)
    named = [problem.partition(" must be a path")[0] for problem in refused.value.problems]
    assert sorted(named) == [
        "data.cache",
        "data.root",
        "student.init_file",
        "teacher.checkpoint",
        "teacher.init_file",
        "teacher.targets.folder",
    ]
    assert parse_config({"data": {"root": "C:/data", "dataset": "s"}}).data.root == Path("C:/data")


def test_the_primary_comparison_is_one_that_the_final_stage_makes() -> None:
    made = {PUBLISHED, NO_DISTILLATION_NAME}
    claim = ClaimConfig.model_fields
    assert set(get_args(claim["against"].annotation)) == made
    assert get_args(claim["metric"].annotation) == METRICS
    assert parse_config(raw()).retrain.claim == ClaimConfig(against=PUBLISHED, metric="mAP")
    (problem,) = problems(retrain={"claim": {"against": "the teacher"}})
    assert re.search(r"retrain\.claim\.against.*published weights.*the teacher", problem)
