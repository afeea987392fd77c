"""YAML as people write configurations: every key is text and stands once, and a mistake is told with its line."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"
MOST_VALUES = 100_000
"""of a file; a configuration has some hundreds"""


class YamlError(ValueError):
    """A text that is no YAML, or none that can be held."""


class _Loader(yaml.SafeLoader):
    """Safe, and strict about keys.

    Attributes:
        problems: keys that were left out, each with its place
    """

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self.name = source
        self.problems: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        kept = []
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                kept.append((key_node, value_node))
                continue
            key = self.construct_object(key_node, deep=True)
            mark = key_node.start_mark
            written = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
            if not isinstance(key, str):
                self.problems.append(
                    f"line {mark.line + 1}: a key must be text, but got {written or 'nothing'}, which YAML reads as "
                    f"{type(key).__name__}; put it in quotes if it is meant"
                )
            elif key in lines:
                self.problems.append(
                    f"line {mark.line + 1}: a key must stand once, but {key} stands in line {lines[key]} too; keep one"
                )
            else:
                lines[key] = mark.line + 1
                kept.append((key_node, value_node))
        node.value = kept
        return super().construct_mapping(node, deep)


def load_yaml(text: str, source: str) -> tuple[Any, list[str]]:
    """Plain values, and the keys that were left out since they are no text or stand twice, a line each.

    Raises `YamlError` with file, line and column of what is no YAML.
    """
    try:
        loader = _Loader(text, source)
        tree = loader.get_single_data()
        _require_small(tree)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise YamlError(f"{source}:{line}: it holds the character #x{error.character:04x}; {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}: " if mark else ""
        raise YamlError(f"{place}{' '.join(filter(None, (error.context, error.problem)))}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise YamlError(f"{source}: {error}") from error
    except RecursionError as error:
        raise YamlError(f"{source}: it is nested too deeply") from error
    return tree, loader.problems


def lines_of_keys(text: str) -> dict[str, int]:
    """Where each key of a mapping stands in a text that can be read: its dotted path -> its line, from 1."""
    lines: dict[str, int] = {}
    left = [("", yaml.compose(text, yaml.SafeLoader))]
    while left:
        path, node = left.pop()
        if not isinstance(node, yaml.MappingNode):
            continue
        for key, value in node.value:
            name = f"{path}.{key.value}" if path else str(key.value)
            if name not in lines:  # an alias to itself ends here
                lines[name] = key.start_mark.line + 1
                if len(lines) < MOST_VALUES:
                    left.append((name, value))
    return lines


def _require_small(tree: Any) -> None:
    """Raises `ValueError` where aliases make a tree that holds itself, or one too large to be walked through."""
    left, count = [tree], 0
    while left:
        node = left.pop()
        count += 1
        if count > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values; an alias may hold itself")
        if isinstance(node, dict):
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)
