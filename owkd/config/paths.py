"""Dotted paths into the configuration: the names by which --set, a search space and the tables know a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from owkd.config.tree import Config


def field_paths() -> tuple[str, ...]:
    """Dotted paths of all fields that a search space may name, sections included."""
    return tuple(path for path in walk(Config) if not path.startswith(("search", "retrain", "name")))


def value_at(config: Config, path: str) -> Any:
    """The plain value of a field by dotted path."""
    value: Any = config.to_dict()
    for part in path.split("."):
        value = value[part]
    return value


def walk(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        yield path
        kinds = (info.annotation, *getattr(info.annotation, "__args__", ()))
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from walk(kind, f"{path}.")


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
