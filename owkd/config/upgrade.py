"""What earlier versions wrote otherwise: keys that have another name now, and fields that a run holds in vain."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from owkd.config.kinds import SECTIONS, Kinds, kinds_at, takers

RENAMED = {"search.give_up_margin": "search.race", "search.first_fold_margin": "search.race"}
"""old keys -> their names now"""
ADDED: dict[str, dict[str, Any]] = {
    "train": {
        "learning_rate_decay": "none",
        "warmup_epochs": 0.0,
        "label_smoothing": 0.0,
        "gradient_clip": None,
        "weight_average": None,
        "flip": False,
        "crop_padding": 0,
        "random_erasing": 0.0,
    },
    "data": {"window": "auto"},
}
"""fields that decide a training's numbers and came after 0.1.0, by section, with the value that it trained with"""


def with_new_names(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Plain values with old keys under their new names -> these, and a line on each for whoever wrote them.

    Where both are there the old key stays, and is refused as unknown.
    """
    tree, notes = copy.deepcopy(dict(raw)), []
    for old, new in RENAMED.items():
        *above, name = old.split(".")
        section: Any = tree
        for part in above:
            section = section.get(part) if isinstance(section, dict) else None
        new_name = new.rpartition(".")[2]
        if isinstance(section, dict) and name in section and new_name not in section:
            section[new_name] = section.pop(name) is not None  # a margin, or null for never
            notes.append(f"{old} is {new}: {str(section[new_name]).lower()} now; write that")
    return tree, notes


def upgraded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a run recorded, as this version would have: 0.1.0 wrote the fields of every kind."""
    tree, _ = with_new_names(raw)
    for section, fields in ADDED.items():
        if isinstance(tree.get(section), dict):
            tree[section] = {**fields, **tree[section]}
    search = tree.get("search")
    if isinstance(search, dict):
        for name in SECTIONS:
            if isinstance(search.get(name), dict):
                search[name] = _taken(search[name], kinds_at(f"search.{name}"))
    return tree


def _taken(section: Mapping[str, Any], kinds: Kinds) -> dict[str, Any]:
    """A section without the fields that other kinds take; what no kind knows stays, and is refused."""
    kind = str(section.get("name"))
    return {key: value for key, value in section.items() if kind in (names := takers(kinds, key)) or not names}
