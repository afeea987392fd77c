"""A configuration of which a search is to be made: as `owkd.config` reads it, and with the rules of searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from owkd.config import Config, Reading, load_config, parse_config, read_config
from search.space.rules import search_rules


def load_search_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """`owkd.config.load_config` with the rules of searches. Raises `ConfigError` naming every mistake at once."""
    return load_config(path, overrides, [search_rules])


def read_search_config(path: Path | str, overrides: Sequence[str] = ()) -> Reading:
    """`load_search_config` for one who wants to look further in spite of mistakes. Raises nothing."""
    return read_config(path, overrides, [search_rules])


def parse_search_config(raw: Mapping[str, Any], source: str = "the configuration") -> Config:
    """`owkd.config.parse_config` with the rules of searches. Raises `ConfigError` naming every mistake at once."""
    return parse_config(raw, source, [search_rules])
