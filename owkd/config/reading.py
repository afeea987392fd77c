"""A configuration from a file, from plain values, or from another one with some fields replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from owkd.config.checks import cross_checks
from owkd.config.mistakes import describe_errors
from owkd.config.paths import set_dotted
from owkd.config.salvage import concerns, salvage
from owkd.config.space_checks import space_checks_alone
from owkd.config.tree import Config
from owkd.errors import ConfigError


@dataclass(frozen=True)
class Reading:
    """A tree of plain values as far as it can be read."""

    source: str
    config: Config | None
    """None when there is a mistake"""
    problems: tuple[str, ...]
    rest: Config | None
    """the tree with defaults where mistakes were; None where there is no tree at all"""
    lacking: tuple[str, ...] = ()
    """dotted paths of the fields and sections that `rest` has defaults for"""

    def whole(self) -> Config:
        """The configuration. Raises `ConfigError` naming every mistake at once."""
        if self.config is None:
            raise ConfigError(self.problems, self.source)
        return self.config


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, applies `KEY=VALUE` overrides (dotted key, YAML value), and checks everything.

    Relative paths in the file are taken from the folder in which the command runs, as a shell would.

    Raises `ConfigError` naming every mistake at once.
    """
    return read_config(path, overrides).whole()


def read_config(path: Path | str, overrides: Sequence[str] = ()) -> Reading:
    """`load_config` for one who wants to look further in spite of mistakes. Raises nothing."""
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _no_tree(path, f"no such file: {path}; give the path of a YAML configuration")
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        hint = '; within { } a value with braces needs quotes, as "{fold}.safetensors"' if "flow" in str(error) else ""
        return _no_tree(path, f"not readable as YAML: {error}{hint}")
    if not isinstance(raw, dict):
        return _no_tree(path, f"must be a mapping of sections, but holds {type(raw).__name__}")
    problems: list[str] = []
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            problems.append(f"--set takes KEY=VALUE, but got {override!r}")
            continue
        try:
            set_dotted(raw, key.strip(), yaml.safe_load(text))
        except (yaml.YAMLError, ValueError) as error:
            problems.append(f"--set {override}: {error}")
    return _read(raw, str(path), problems)


def parse_config(raw: Mapping[str, Any], source: str = "the configuration") -> Config:
    """Checks a tree of plain values. Raises `ConfigError` naming every mistake at once."""
    return _read(raw, source, []).whole()


def _read(raw: Mapping[str, Any], source: str, problems: list[str]) -> Reading:
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        rest, lacking = salvage(raw)
        further = [line for line in cross_checks(rest) if not concerns(line, lacking)]
        found = [*problems, *describe_errors(error), *space_checks_alone(raw), *further]
        return Reading(source, None, tuple(dict.fromkeys(found)), rest, lacking)
    found = [*problems, *cross_checks(config)]
    return Reading(source, None if found else config, tuple(found), config)


def _no_tree(path: Path, problem: str) -> Reading:
    return Reading(str(path), None, (problem,), None)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The same tree with some fields, given by dotted path, replaced. Raises `ConfigError`."""
    raw = config.to_dict()
    for key, value in values.items():
        set_dotted(raw, key, value)
    return parse_config(raw)
