"""The messages of mistakes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from owkd.config.kinds import kinds_at, takers
from owkd.config.paths import walk
from owkd.config.tree import Config


def describe_errors(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        location = _written([str(part) for part in problem["loc"]])
        where = ".".join(location)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: {_unknown_key(location, [str(part) for part in problem['loc']])}")
        elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
            context = problem["ctx"]
            kinds = context.get("expected_tags", "").replace("'", "")
            said = f"must be one of {kinds}, but got {context['tag']!r}" if kinds else "is required"
            lines.append(f"{where}.{context['discriminator'].strip(chr(39))}: {said}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: is required")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            value = problem.get("input")
            shown = "" if isinstance(value, dict | BaseModel) else f", but got {value!r}"
            lines.append(f"{where}: {message}{shown}")
    return lines


def _unknown_key(location: list[str], raw: list[str]) -> str:
    section, key = ".".join(location[:-1]), location[-1]
    kinds = kinds_at(section)
    names = takers(kinds, key)
    if names:
        take = f"{names[0]} alone takes it" if len(names) == 1 else f"{', '.join(names)} take it"
        other = names[0] if len(names) == 1 else "one of them"
        return f"{take}, but name is {raw[-2]}; drop it or set {section}.name to {other}"
    siblings = sorted(kinds[raw[-2]].model_fields) if kinds else children(location[:-1])
    near = difflib.get_close_matches(key, siblings, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(siblings)}"
    return f"unknown key; {hint}"


def _written(location: list[str]) -> list[str]:
    """The way to a mistake as it stands in a file: behind a section of several kinds, pydantic puts the kind."""
    if location[:2] == ["search", "space"]:
        return [*location[:3], *location[4:]]
    return [*location[:2], *location[3:]] if kinds_at(".".join(location[:2])) else location


def children(location: Sequence[str]) -> list[str]:
    """Names of the fields in a section."""
    prefix = ".".join(location)
    depth = len(location)
    names = [path for path in walk(Config) if path.startswith(f"{prefix}." if prefix else "")]
    return sorted({path.split(".")[depth] for path in names if path.count(".") == depth})
