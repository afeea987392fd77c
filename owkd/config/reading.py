"""A configuration from a file, from plain values, or from another one with some fields replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from owkd.config.checks import cross_checks, describe_errors, space_checks_alone
from owkd.config.paths import set_dotted
from owkd.config.tree import Config
from owkd.errors import ConfigError


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, applies `KEY=VALUE` overrides (dotted key, YAML value), and checks everything.

    Relative paths in the file are taken from the folder in which the command runs, as a shell would.

    Raises `ConfigError` naming every mistake at once.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"no such file: {path}; do give the path of a YAML configuration"], str(path)) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"not readable as YAML: {error}"], str(path)) from error
    if not isinstance(raw, dict):
        raise ConfigError([f"must be a mapping of sections, but holds {type(raw).__name__}"], str(path))
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
    return parse_config(raw, source=str(path), problems=problems)


def parse_config(raw: Mapping[str, Any], source: str = "the configuration", problems: Sequence[str] = ()) -> Config:
    """Checks a tree of plain values. Raises `ConfigError` naming every mistake at once (after `problems`)."""
    found = list(problems)
    config: Config | None = None
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        found.extend(describe_errors(error))
    found.extend(cross_checks(config) if config is not None else space_checks_alone(raw))
    if found:
        raise ConfigError(found, source)
    assert config is not None
    return config


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The same tree with some fields, given by dotted path, replaced. Raises `ConfigError`."""
    raw = config.to_dict()
    for key, value in values.items():
        set_dotted(raw, key, value)
    return parse_config(raw)
