"""The printed configuration is a configuration, and it is whole."""

import re

import pytest
import yaml

from launch.cli import run_command
from owkd.config import Config, parse_config
from owkd.config.reference import REQUIRED, WIDTH, reference
from owkd.errors import UserError

DEFAULTS = Config.model_validate({"data": REQUIRED})


def test_it_is_the_default_configuration() -> None:
    assert parse_config(yaml.safe_load(reference())) == DEFAULTS
    assert yaml.safe_load(reference()) == DEFAULTS.to_dict()


def test_choices_and_descriptions_stand_beside_their_fields() -> None:
    text = reference()
    assert "  device: auto # one of auto, cpu, cuda\n" in text
    assert "  root: /data/thermal # required; folder that holds the data set's folder\n" in text
    assert "\n# How a student is trained: " in text
    # what does not fit beside a field stands above it
    assert re.search(r"\n    # one of auto, gp, tpe, [^\n]+\n(?:    # [^\n]+\n)+    name: auto\n", text)
    assert all(len(line) <= WIDTH + 3 for line in text.splitlines())


@pytest.mark.parametrize("path", ["train", "search.sampler", "teacher.targets"])
def test_a_section_alone_is_that_of_the_whole(path: str) -> None:
    section = DEFAULTS.to_dict()
    for name in path.split("."):
        section = section[name]
    assert yaml.safe_load(reference(path)) == {path.rsplit(".", 1)[-1]: section}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("serach", "one of data, teacher, student, train, distill, search, retrain here, but got 'serach'"),
        ("search.space", "one of sampler, scheduler, resources here, but got 'space' in 'search.space'"),
        ("train.epochs", "one of none here"),
    ],
)
def test_what_is_no_section_is_refused(path: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        reference(path)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["config"]) == 0
    assert capsys.readouterr().out == reference()
    assert run_command(["config", "retrain"]) == 0
    assert capsys.readouterr().out == reference("retrain")
    assert run_command(["config", "nothing"]) == 2


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert re.fullmatch(r"owkd \d+\.\d+\.\d+\n", capsys.readouterr().out)
