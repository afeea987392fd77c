"""Fields by dotted path: which of them hold a path."""

from __future__ import annotations

from owkd.config import local_paths, parse_config, path_fields

UNSET = {
    "data.root": "/data",
    "data.cache": None,
    "teacher.init_file": None,
    "teacher.checkpoint": None,
    "teacher.targets.folder": None,
    "student.init_file": None,
    "search.warm_start": None,
}


def test_path_fields_are_those_that_hold_a_path() -> None:
    assert path_fields(parse_config({"data": {"root": "/data", "dataset": "d"}})) == UNSET


def test_path_fields_have_the_text_of_the_configuration() -> None:
    raw = {
        "data": {"root": "data", "dataset": "d", "cache": "cache"},
        "teacher": {
            "init": "imagenet",
            "init_file": "small.pth",
            "checkpoint": "t/{fold}.safetensors",
            "targets": {"folder": "/targets"},
        },
        "student": {"init": "imagenet", "init_file": "/micro.pth"},
        "search": {"warm_start": "runs/before"},
    }
    assert path_fields(parse_config(raw)) == {
        "data.root": "data",
        "data.cache": "cache",
        "teacher.init_file": "small.pth",
        "teacher.checkpoint": "t/{fold}.safetensors",
        "teacher.targets.folder": "/targets",
        "student.init_file": "/micro.pth",
        "search.warm_start": "runs/before",
    }


def test_a_run_alone_may_be_at_an_address() -> None:
    address = "s3://bucket/runs/before?endpoint_override=host:1&scheme=http"
    config = parse_config({"data": {"root": "/data", "dataset": "d"}, "search": {"warm_start": address}})
    assert config.search.warm_start == address
    assert path_fields(config).keys() - local_paths(config).keys() == {"search.warm_start"}
