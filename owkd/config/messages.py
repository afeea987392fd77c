"""The messages of mistakes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from owkd.config.paths import walk
from owkd.config.tree import Config


def describe_errors(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        location = _written([str(part) for part in problem["loc"]])
        where = ".".join(location)
        if problem["type"] == "extra_forbidden":
            siblings = children(location[:-1])
            near = difflib.get_close_matches(location[-1], siblings, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(siblings)}"
            lines.append(f"{where}: unknown key; {hint}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: is required")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            value = problem.get("input")
            shown = "" if isinstance(value, dict | BaseModel) else f", but got {value!r}"
            lines.append(f"{where}: {message}{shown}")
    return lines


def _written(location: list[str]) -> list[str]:
    """The way to a mistake as it stands in a file: behind an entry of a space, pydantic puts the entry's type."""
    return [*location[:3], *location[4:]] if location[:2] == ["search", "space"] else location


def children(location: Sequence[str]) -> list[str]:
    """Names of the fields in a section."""
    prefix = ".".join(location)
    depth = len(location)
    names = [path for path in walk(Config) if path.startswith(f"{prefix}." if prefix else "")]
    return sorted({path.split(".")[depth] for path in names if path.count(".") == depth})
