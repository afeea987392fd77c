"""What is right of a tree that has mistakes, so that the rest of it can be checked in the same go."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from owkd.config.messages import children
from owkd.config.tree import Config

PLACEHOLDER = {"root": ".", "dataset": "unknown"}
"""stands in for `data`, the one section without defaults; nothing is read by it"""

SPACE = "search.space."


@dataclass(frozen=True)
class Partial:
    """What is right of a tree that has mistakes.

    Attributes:
        config: the tree with defaults where mistakes were
        missing: dotted paths of the fields and sections that have such defaults
    """

    config: Config
    missing: tuple[str, ...] = ()


def partial_parse(raw: Mapping[str, Any]) -> Partial:
    """The tree without its mistakes.

    What is left out has its default; a key that nobody knows counts for the one that it is most like as well.
    """
    tree: dict[str, Any] = copy.deepcopy(dict(raw))
    missing: dict[str, None] = {}
    while True:
        try:
            return Partial(Config.model_validate(tree), tuple(missing))
        except ValidationError as error:
            for problem in error.errors():
                missing |= dict.fromkeys(_leave_out(tree, [str(part) for part in problem["loc"]]))


def concerns(problem: str, missing: Collection[str]) -> bool:
    """Whether a problem speaks of a field that was left out: its value there is a default that nobody wrote."""
    names = {name for path in missing for name in (path, path.removeprefix(SPACE))}
    return any(re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", problem) for name in names)


def _leave_out(tree: dict[str, Any], location: list[str]) -> list[str]:
    """Removes the deepest key on the way to a mistake -> its path, and that of the key that it may stand for."""
    node: Any = tree
    path: list[str] = []
    above: Any = tree
    for part in location:  # a part that is no key names a kind of entry, a place in a list, or what is missing
        if isinstance(node, dict) and part in node:
            above, node = node, node[part]
            path.append(part)
    if not path:
        if tree.get("data") == PLACEHOLDER:  # the mistake is of the whole: nothing of it can be told apart
            left_out = [name for name in tree if name != "data"]
            tree.clear()
            tree["data"] = dict(PLACEHOLDER)
            return left_out
        tree["data"] = dict(PLACEHOLDER)
        return ["data"]
    del above[path[-1]]
    near = difflib.get_close_matches(path[-1], children(path[:-1]), n=1)
    return [".".join(names) for names in (path, *([*path[:-1], name] for name in near))]
