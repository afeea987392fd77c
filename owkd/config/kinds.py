"""Sections of which there are several kinds, such as `search.sampler`: the kinds by name, and who takes which field."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from owkd.config.search import SearchConfig

Kinds = dict[str, type[BaseModel]]
"""by the name that chooses a kind"""
SECTIONS = ("sampler", "scheduler")
"""of `search`, that name their kind by `name`"""


def kinds_of(field: FieldInfo) -> Kinds:
    """The kinds of a section by the name that chooses them; empty where there is one kind alone."""
    if field.discriminator != "name":
        return {}
    return {kind.model_fields["name"].default: kind for kind in get_args(field.annotation)}


def kinds_at(path: str) -> Kinds:
    """The kinds of the section at a dotted path."""
    above, _, name = path.rpartition(".")
    return kinds_of(SearchConfig.model_fields[name]) if above == "search" and name in SECTIONS else {}


def takers(kinds: Kinds, field: str) -> list[str]:
    """Names of the kinds that take a field."""
    return [name for name, kind in kinds.items() if field in kind.model_fields]
