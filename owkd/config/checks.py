"""What a configuration must hold beyond the type of each field, whatever it is used for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from owkd.config.paths import field_paths, local_paths
from owkd.config.tree import FOLD_PLACEHOLDER, Config

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""of two letters at least: `C:/` is a drive; a path keeps one of two slashes"""


def own_checks(config: Config) -> list[str]:
    """What does not go together in the sections of a training."""
    problems = _local_checks(config)
    checkpoint = config.teacher.checkpoint
    if checkpoint and FOLD_PLACEHOLDER not in checkpoint and len(config.fold_names()) > 1:
        problems.append(
            f"teacher.checkpoint must hold {FOLD_PLACEHOLDER} when several folds are used, because a teacher knows the "
            f"identities of one fold only, but got {checkpoint!r} for {', '.join(config.fold_names())}"
        )
    return problems


def _local_checks(config: Config) -> list[str]:
    """A run may be in an object store; what it is made of is read as files."""
    return [
        f"{name} must be a path on each machine, but got the address {path}; copy or mount it there"
        for name, path in local_paths(config).items()
        if path is not None and URI.match(path)
    ]


def name_checks(raw: Mapping[str, Any]) -> list[str]:
    """Names in the search space that name no field, in plain values that may have other mistakes too."""
    search = raw.get("search")
    space = search.get("space") if isinstance(search, Mapping) else None
    known = field_paths()
    return [_unknown(str(name), known) for name in space if name not in known] if isinstance(space, Mapping) else []


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "name a field by its dotted path, such as distill.gram"
    return f"search.space.{name}: names no field of the configuration; {hint}"
