"""Dotted paths into the configuration: the names by which --set, a search space and the tables know a field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from owkd.config.node import PATH
from owkd.config.tree import Config


def field_paths() -> tuple[str, ...]:
    """Dotted paths of all fields that a search space may name, sections included."""
    return tuple(path for path in walk(Config) if not path.startswith(("search", "retrain", "name")))


def path_fields(config: Config) -> dict[str, str | None]:
    """Every field that holds a path or an address, by dotted path -> its text; None where it is unset.

    The types of the fields say which: `Path`, or `PathText` where the text is more than a path of this machine.
    """
    names = [path for path, field in _fields(Config) if PATH in field.metadata or _is_path(field.annotation)]
    return {name: value_at(config, name) for name in names}


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


def _is_path(annotation: Any) -> bool:
    marked = annotation is Path or PATH in getattr(annotation, "__metadata__", ())
    return marked or any(map(_is_path, get_args(annotation)))


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
