"""A configuration from a file, from plain values, or from another one with some fields replaced."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from owkd.config.checks import name_checks, own_checks
from owkd.config.messages import describe_errors
from owkd.config.partial import Partial, concerns, partial_parse
from owkd.config.paths import set_dotted
from owkd.config.tree import Config
from owkd.config.upgrade import with_new_names
from owkd.config.yaml_text import YamlError, lines_of_keys, load_yaml
from owkd.errors import ConfigError

Check = Callable[[Config], Sequence[str]]
"""what is wrong with a configuration, a line each"""
FIELD = re.compile(r"[A-Za-z_][\w./-]*(?=[: ]|$)")
LINE = re.compile(r"line (\d+): ")
"""what a problem may begin with"""


@dataclass(frozen=True)
class Reading:
    """A tree of plain values as far as it can be read.

    Attributes:
        config: None when there is a mistake
        partial: what is right of it; None where there is no tree at all
        notes: what is no mistake, but should be known to whoever wrote it
        lines: where its keys stand in the file, by dotted path; 0 for what an override replaced
    """

    source: str
    config: Config | None
    problems: tuple[str, ...]
    partial: Partial | None
    notes: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)

    def whole(self) -> Config:
        """The configuration. Raises `ConfigError` naming every mistake at once."""
        if self.config is None:
            raise self.refusal(self.problems)
        return self.config

    def refusal(self, problems: Sequence[str]) -> ConfigError:
        """Of this file because of these problems, each with the line of the field that it begins with, as they stand
        in the file."""
        located = [f"line {line}: {problem}" if (line := self._line(problem)) else problem for problem in problems]
        found = [(LINE.match(problem), problem) for problem in located]
        ordered = sorted(found, key=lambda each: int(each[0][1]) if each[0] else sys.maxsize)
        return ConfigError([problem for _, problem in ordered], self.source)

    def _line(self, problem: str) -> int:
        """Of the field, or of the section where that would be; 0 where it is not known, or told already."""
        found = FIELD.match(problem)
        path = found[0].rstrip(".") if found else ""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return self.lines.get(path, 0)


def load_config(path: Path | str, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> Config:
    """Reads a YAML file, applies `KEY=VALUE` overrides (dotted key, YAML value), and checks it.

    Of a search it checks types and names; `checks` are what else it must hold (`search.space.load_search_config`).

    Relative paths in the file are taken from the folder in which the command runs, as a shell would.

    Raises `ConfigError` naming every mistake at once.
    """
    return read_config(path, overrides, checks).whole()


def read_config(path: Path | str, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> Reading:
    """`load_config` for one who wants to look further in spite of mistakes. Raises nothing."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        raw, problems = load_yaml(text, str(path))
    except FileNotFoundError:
        return _no_tree(path, f"no such file: {path}; give the path of a YAML configuration")
    except (OSError, UnicodeDecodeError, YamlError) as error:
        hint = '; within { } a value with braces needs quotes, as "{fold}.safetensors"' if "flow" in str(error) else ""
        return _no_tree(path, f"not readable as YAML: {error}{hint}")
    if not isinstance(raw, dict):
        return _no_tree(path, f"must be a mapping of sections, but holds {type(raw).__name__}")
    lines = lines_of_keys(text)
    for override in overrides:
        key, separator, value_text = override.partition("=")
        if not separator or not key:
            problems.append(f"--set takes KEY=VALUE, but got {override!r}")
            continue
        try:
            value, mistakes = load_yaml(value_text, key)
            set_dotted(raw, key.strip(), value)
            lines = {name: line for name, line in lines.items() if not f"{name}.".startswith(f"{key.strip()}.")}
            lines[key.strip()] = 0
            problems += [f"--set {override}: {mistake}" for mistake in mistakes]
        except ValueError as error:
            problems.append(f"--set {override}: {error}")
    return replace(_read(raw, str(path), problems, checks), lines=lines)


def parse_config(raw: Mapping[str, Any], source: str = "the configuration", checks: Sequence[Check] = ()) -> Config:
    """Checks a tree of plain values. Raises `ConfigError` naming every mistake at once."""
    return _read(raw, source, [], checks).whole()


def _read(raw: Mapping[str, Any], source: str, problems: list[str], checks: Sequence[Check]) -> Reading:
    raw, unreadable = _with_text_keys(raw)
    problems = [*problems, *unreadable]
    raw, notes = with_new_names(raw)
    try:
        partial, problems = Partial(Config.model_validate(raw)), [*problems, *name_checks(raw)]
    except ValidationError as error:
        partial, problems = partial_parse(raw), [*problems, *describe_errors(error), *name_checks(raw)]
    lines = [line for check in (*checks, own_checks) for line in check(partial.config)]
    problems += [line for line in lines if not concerns(line, partial.missing)]
    config = None if problems else partial.config
    return Reading(source, config, tuple(dict.fromkeys(problems)), partial, tuple(notes))


def _with_text_keys(tree: Mapping[Any, Any], path: str = "") -> tuple[dict[str, Any], list[str]]:
    """The tree without keys that are no text, at any depth, and what is left out, a line each."""
    kept: dict[str, Any] = {}
    problems = []
    for key, value in tree.items():
        if not isinstance(key, str):
            problems.append(f"{path or 'the configuration'}: a key must be text, but got {key!r}; write it as text")
        elif isinstance(value, Mapping):
            kept[key], below = _with_text_keys(value, f"{path}.{key}" if path else key)
            problems += below
        else:
            kept[key] = value
    return kept, problems


def _no_tree(path: Path, problem: str) -> Reading:
    return Reading(str(path), None, (problem,), None)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """The same tree with some fields, given by dotted path, replaced. Raises `ConfigError`."""
    raw = config.to_dict()
    for key, value in values.items():
        set_dotted(raw, key, value)
    return parse_config(raw)
