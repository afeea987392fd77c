"""Dotted paths into the configuration: the names by which --set, a search space and the tables know a field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from owkd.config.node import ADDRESS, PATH
from owkd.config.tree import Config


def field_paths() -> tuple[str, ...]:
    """Dotted paths of all fields that a search space may name, sections included."""
    return tuple(path for path in walk(Config) if not path.startswith(("search", "retrain", "name")))


def path_fields(config: Config) -> dict[str, str | None]:
    """Every field that holds a path or an address, by dotted path -> its text; None where it is unset.

    The types of the fields decide: `Path`; `PathText` for a path with a placeholder; `AddressText` for an address.
    """
    return {name: value_at(config, name) for name, field in _fields(Config) if PATH in _marks(field)}


def local_paths(config: Config) -> dict[str, str | None]:
    """`path_fields` without those that may hold an address: what every machine reads as files."""
    addresses = {name for name, field in _fields(Config) if ADDRESS in _marks(field)}
    return {name: value for name, value in path_fields(config).items() if name not in addresses}


def value_at(config: Config, path: str) -> Any:
    """The plain value of a field by dotted path."""
    value: Any = config.to_dict()
    for part in path.split("."):
        value = value[part]
    return value


def walk(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    return (path for path, _ in _fields(model, prefix))


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted path and declaration of every field below a section, sections included."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        yield path, field
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _fields(kind, f"{path}.")


def _marks(field: FieldInfo) -> set[Any]:
    """`PATH` and `ADDRESS`, as far as they are said of a field's type or of a member of its union."""
    return {*field.metadata, *_marks_of_type(field.annotation)} & {PATH, ADDRESS}


def _marks_of_type(annotation: Any) -> Iterator[Any]:
    if annotation is Path:
        yield PATH
    yield from (mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, str))
    for member in get_args(annotation):
        yield from _marks_of_type(member)


def set_dotted(raw: dict[str, Any], key: str, value: Any) -> None:
    parts = key.split(".")
    if parts[:2] == ["search", "space"] and len(parts) > 2:
        parts = ["search", "space", ".".join(parts[2:])]
    node = raw
    for part in parts[:-1]:
        child = node.get(part)
        if child is None or isinstance(child, str):
            child = node[part] = {}
        if not isinstance(child, dict):
            raise ValueError(f"{part!r} is a value, not a section")
        node = child
    node[parts[-1]] = value
