"""Every field of the configuration with its default and what it means, as YAML to start from: `owkd config`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from owkd.config.kinds import Kinds, kinds_of, takers
from owkd.config.tree import Config
from owkd.errors import UserError

REQUIRED = {"root": "/data/thermal", "dataset": "SYSU-MM01_thermal"}
"""examples for `data`, the one section with fields that have no default"""

WIDTH = 110


def reference(only: str | None = None) -> str:
    """The whole tree with its defaults, or one section of it by dotted path: YAML that `load_config` takes.

    Of a section of several kinds, such as `search.sampler`, it holds the default kind, and the fields of the
    others as comments.

    Raises `UserError` where there is no such section.
    """
    node: BaseModel = Config.model_validate({"data": REQUIRED})
    if only is None:
        return "\n".join(_fields(node, "")) + "\n"
    name, above = only, node
    for name in only.split("."):
        below = _sections(node)
        if name not in below:
            raise UserError(f"a section must be one of {', '.join(below) or 'none'} here, but got {name!r} in {only!r}")
        above, node = node, below[name]
    return "\n".join(_section(name, node, type(above).model_fields[name], "")) + "\n"


def _sections(node: BaseModel) -> dict[str, BaseModel]:
    return {name: value for name, value in node if isinstance(value, BaseModel)}


def _section(name: str, node: BaseModel, info: FieldInfo, indent: str) -> Iterator[str]:
    about = " ".join((info.description or type(node).__doc__ or "").split())
    yield from _wrapped(about, indent)
    yield f"{indent}{name}:"
    yield from _fields(node, indent + "  ", kinds_of(info))


def _fields(node: BaseModel, indent: str, kinds: Kinds | None = None) -> Iterator[str]:
    """A section's fields; of one of several kinds also those of the others, as comments."""
    kinds, plain = kinds or {}, node.model_dump(mode="json")
    for name, info in type(node).model_fields.items():
        value = getattr(node, name)
        if isinstance(value, BaseModel):
            if not indent:
                yield ""
            yield from _section(name, value, info, indent)
        else:
            yield from _line(f"{name}: {_plain(plain[name])}", _notes(name, info, kinds), indent)
    others = {name: info for kind in kinds.values() for name, info in kind.model_fields.items() if name not in plain}
    for name, info in others.items():
        yield from _line(f"# {name}: {_plain(info.default)}", _notes(name, info, kinds), indent)


def _notes(field: str, info: FieldInfo, kinds: Kinds) -> str:
    """The comment on a field; in a section of several kinds it says which they are, or which of them take the field."""
    if kinds and field == "name":
        return "; ".join([f"one of {', '.join(kinds)}", *(f"{name}: {kind.__doc__}" for name, kind in kinds.items())])
    notes = "; ".join([*(["required"] if info.is_required() else []), *_allowed(info), *_words(info)])
    names = takers(kinds, field)
    return notes if len(names) == len(kinds) else f"{', '.join(names)}: {notes}"


def _line(text: str, comment: str, indent: str) -> Iterator[str]:
    """A field on one line with its comment behind it, or above it where the line would be too long."""
    if len(indent) + len(text) + len(comment) > WIDTH:
        yield from _wrapped(comment, indent)
        comment = ""
    yield indent + text + (f" # {comment}" if comment else "")


def _wrapped(text: str, indent: str) -> Iterator[str]:
    return (f"{indent}# {part}" for part in textwrap.wrap(text, WIDTH - len(indent)))


def _plain(value: Any) -> str:
    """A value on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("\n...\n").strip()


def _allowed(info: FieldInfo) -> Iterator[str]:
    """`one of auto, cpu, cuda` for a field that takes nothing else."""
    alone = get_origin(info.annotation) is Literal
    kinds = [kind for kind in ((info.annotation,) if alone else get_args(info.annotation)) if kind is not type(None)]
    names = [
        str(name) for kind in kinds for name in get_args(kind) if all(get_origin(kind) is Literal for kind in kinds)
    ]
    if len(names) > 1:
        yield f"one of {', '.join(names)}"


def _words(info: FieldInfo) -> Iterator[str]:
    if info.description:
        yield info.description
