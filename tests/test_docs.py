"""What the documentation names exists."""

import re
from pathlib import Path

import pytest
import yaml

from launch.cli import run_command
from owkd.config import parse_config

ROOT = Path(__file__).parents[1]
PAGES = ("docs/method.md", "docs/data.md", "README.md", "CONTRIBUTING.md")
NAMED = re.compile(r"`(\w+)` \(`([\w/]+\.py)`\)")
FILE = re.compile(r"`((?:owkd|search|launch|tests|docs)/[\w./]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
COMMAND = re.compile(r"owkd ((?:data )?[a-z]+)")


def test_every_name_is_defined_where_the_page_says() -> None:
    named = NAMED.findall((ROOT / "docs/method.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    for name, file in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE), f"{name} in {file}"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [ROOT / path for path in FILE.findall(text)]
    found += [(ROOT / page).parent / link for link in LINK.findall(text)]
    missing = [path for path in found if not path.exists()]
    assert not missing


def test_every_command_of_the_data_page_exists() -> None:
    commands = {"data synth", "data prepare", "data check", "run"}
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert {match for match in COMMAND.findall(text) if match != "comes"} == commands
    for command in commands:
        assert run_command([*command.split(), "--help"]) == 0


def test_the_readmes_configuration_is_a_right_one() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 1
    config = parse_config(yaml.safe_load(blocks[0]), source="README.md")
    assert config.teacher.checkpoint_for("Fold1") == Path("teachers/Fold1.safetensors")
    assert len(config.search.space) == 4
