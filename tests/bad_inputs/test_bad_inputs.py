"""Every case of the suite, and that the suite notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bad_inputs.cases import Case, read_cases
from tests.bad_inputs.commands import Commands
from tests.bad_inputs.judge import judged
from tests.bad_inputs.world import build_world

CASES = read_cases()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    build_world(folder)
    return folder


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
def test_a_bad_input_is_told_clearly(case: Case, world: Path, tmp_path: Path, commands: Commands) -> None:
    wrong = judged(case, world, tmp_path, commands)
    assert not wrong, "\n".join(wrong)


def test_there_are_enough() -> None:
    assert len(CASES) >= 150


def test_the_suite_notices(world: Path, tmp_path: Path, commands: Commands) -> None:
    good = next(case for case in CASES if case.name == "a field that is misspelt")
    for number, (other, complaint) in enumerate(
        [
            (replace(good, exit=0), "exit code 2, not 0"),
            (replace(good, says=("nonsense",)), "does not say 'nonsense'"),
            (replace(good, commands=(("owkd", "data", "synth", "left"),), exit=0, says=("left",)), "leaves left"),
        ]
    ):
        (tmp_path / str(number)).mkdir()
        assert any(complaint in each for each in judged(other, world, tmp_path / str(number), commands))
