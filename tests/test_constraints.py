"""The lowest versions that are tested are the lowest that are promised."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {each.name: next(iter(each.specifier)).version for each in requirements}


def dependencies() -> list[Requirement]:
    return [
        Requirement(text)
        for text in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    ]


def test_the_lowest_versions_are_those_that_are_promised() -> None:
    lowest = pins("constraints-lowest.txt")
    promised = {each.name: str(each.specifier).removeprefix(">=") for each in dependencies() if each.name in lowest}
    assert set(lowest) == {"torch", "ray", "optuna"}
    assert {name: version.removesuffix(".0") for name, version in lowest.items()} == promised


def test_every_dependency_is_pinned_and_within_its_promise() -> None:
    exact = {name.lower(): version for name, version in pins("constraints.txt").items()}
    assert [each.name for each in dependencies() if not each.specifier.contains(exact[each.name])] == []
