"""Every field of the configuration with its default and what it means, as YAML to start from: `owkd config`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from owkd.config.tree import Config
from owkd.errors import UserError

REQUIRED = {"root": "/data/thermal", "dataset": "SYSU-MM01_thermal"}
"""examples for `data`, the one section with fields that have no default"""

WIDTH = 110


def reference(only: str | None = None) -> str:
    """The whole tree with its defaults, or one section of it by dotted path: YAML that `load_config` takes.

    Raises `UserError` where there is no such section.
    """
    node: BaseModel = Config.model_validate({"data": REQUIRED})
    if only is None:
        return "\n".join(_fields(node, "")) + "\n"
    name = only
    for name in only.split("."):
        below = _sections(node)
        if name not in below:
            raise UserError(f"a section must be one of {', '.join(below) or 'none'} here, but got {name!r} in {only!r}")
        node = below[name]
    return "\n".join(_section(name, node, "")) + "\n"


def _sections(node: BaseModel) -> dict[str, BaseModel]:
    return {name: value for name, value in node if isinstance(value, BaseModel)}


def _section(name: str, node: BaseModel, indent: str) -> Iterator[str]:
    about = " ".join((type(node).__doc__ or "").split())
    yield from (f"{indent}# {line}" for line in textwrap.wrap(about, WIDTH - len(indent)))
    yield f"{indent}{name}:"
    yield from _fields(node, indent + "  ")


def _fields(node: BaseModel, indent: str) -> Iterator[str]:
    for name, info in type(node).model_fields.items():
        value = getattr(node, name)
        if isinstance(value, BaseModel):
            if not indent:
                yield ""
            yield from _section(name, value, indent)
            continue
        line = f"{indent}{name}: {_plain(node.model_dump(mode='json')[name])}"
        comment = "; ".join([*(["required"] if info.is_required() else []), *_allowed(info), *_words(info)])
        if len(line) + len(comment) > WIDTH:
            yield from (f"{indent}# {part}" for part in textwrap.wrap(comment, WIDTH - len(indent)))
            comment = ""
        yield line + (f" # {comment}" if comment else "")


def _plain(value: Any) -> str:
    """A value on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("\n...\n").strip()


def _allowed(info: FieldInfo) -> Iterator[str]:
    """`one of auto, cpu, cuda` for a field that takes nothing else."""
    kinds = [kind for kind in (info.annotation, *get_args(info.annotation)) if get_origin(kind) is Literal]
    names = [str(name) for kind in kinds for name in get_args(kind)]
    if len(names) > 1:
        yield f"one of {', '.join(names)}"


def _words(info: FieldInfo) -> Iterator[str]:
    if info.description:
        yield info.description
