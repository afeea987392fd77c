"""The JSON schema takes what the reader takes: every documented block, every configuration that we ship, old forms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from launch.cli import run_command
from owkd.config import parse_config
from owkd.config.reference import reference
from owkd.config.schema import json_schema
from owkd.errors import ConfigError

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```yaml( search)?\n(.*?)```", flags=re.DOTALL)
DATA = {"root": "/data", "dataset": "D"}


def documented() -> dict[str, dict[str, Any]]:
    """Every block of README and docs that is a configuration, or a part of one, and every file that is one."""
    found = {}
    for page in ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))):
        for number, (search, text) in enumerate(BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))):
            raw = yaml.safe_load(text)
            if search:
                raw = {"search": raw}
            elif any("." in str(name) for name in raw):
                raw = {"search": {"space": raw}}
            found[f"{page} {number}"] = {"data": DATA, **raw}
    for path in (ROOT / "launch/demo.yaml", ROOT / "benchmarks/evidence/evidence.yaml", *ROOT.glob("configs/*.yaml")):
        found[path.name] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


BLOCKS = documented()
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_it_is_a_schema_and_the_blocks_are_found() -> None:
    VALIDATOR.check_schema(json_schema())
    assert len(BLOCKS) >= 8
    assert any("quickstart" in name for name in BLOCKS)


@pytest.mark.parametrize("name", BLOCKS)
def test_it_takes_every_documented_block(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(BLOCKS[name])] == []


def test_it_takes_all_defaults_and_the_tree_of_a_run() -> None:
    assert VALIDATOR.is_valid(yaml.safe_load(reference()))
    assert VALIDATOR.is_valid(parse_config({"data": DATA}).to_dict())


@pytest.mark.parametrize(
    "wrong",
    [
        {"train": {"epochs": -3}},
        {"train": {"batchsize": 4}},
        {"student": {"preset": "huge"}},
        {"search": {"scheduler": {"name": "asha", "min_trials": 3}}},
        {"search": {"sampler": {"name": "gp", "population": 3}}},
        {"search": {"space": {"distill.logit": {"type": "float", "low": 1}}}},
        {"data": {"root": "/data"}},
    ],
)
def test_it_refuses_what_the_reader_refuses(wrong: dict[str, Any]) -> None:
    raw = {"data": DATA, **wrong}
    assert not VALIDATOR.is_valid(raw)
    with pytest.raises(ConfigError):
        parse_config(raw)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["config", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
