"""What a case of the suite is.

    - name: a fold that is not there
      with: [data]                 parts of the world to start from (`world.py`); the configuration is always there
      change: {data.folds: [No]}   fields of search.yaml that are set, or removed with `~`
      files: {a.yaml: "text"}      files to write; {hex: ...} or {repeat: ..., times: ...} in place of text
      damage: {path: how}          what becomes of files: flip, cut, empty, zero, remove, folder, {text: ..., by: ...}
      env: {TERM: dumb}            environment variables; `~` removes one
      fresh: true                  in a new interpreter, for what is read when a program starts
      run: owkd plan search.yaml   one command line, or a list: each must end so
      exit: 2                      exit code
      says: [words, of the message]
      leaves: [pattern]            files that may lie about afterwards

No command may show a traceback, leave anything else behind, or take longer than `LIMIT_S` seconds.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

LIMIT_S = 30.0


@dataclass(frozen=True)
class Case:
    """One case; the fields are those of the module's docstring."""

    group: str
    name: str
    commands: tuple[tuple[str, ...], ...]
    exit: int
    says: tuple[str, ...]
    parts: tuple[str, ...] = ()
    change: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    damage: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str | None] = field(default_factory=dict)
    fresh: bool = False
    leaves: tuple[str, ...] = ()


def read_cases(folder: Path = Path(__file__).parent) -> list[Case]:
    """All cases, in the order of files and lines. Raises `ValueError` for one that is malformed or named twice."""
    cases = [case for path in sorted(folder.glob("*.yaml")) for case in _of_file(path)]
    names = [(case.group, case.name) for case in cases]
    if len(set(names)) < len(names):
        raise ValueError(f"cases must have names of their own, but {sorted(n for n in names if names.count(n) > 1)}")
    return cases


def _of_file(path: Path) -> Iterator[Case]:
    for raw in yaml.safe_load(path.read_text(encoding="utf-8")):
        lines = raw.pop("run")
        given = {"parts" if name == "with" else name: value for name, value in raw.items()}
        for name in ("parts", "says", "leaves"):
            given[name] = tuple(given.get(name, ()))
        commands = tuple(tuple(shlex.split(line)) for line in ([lines] if isinstance(lines, str) else lines))
        if not given["says"] or any(command[0] != "owkd" for command in commands):
            raise ValueError(f"{path.name}: a case must run owkd and say what its message holds, but got {raw}")
        yield Case(path.stem, commands=commands, **given)
