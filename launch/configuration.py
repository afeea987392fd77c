"""The configuration that a command is given, with every rule that a search must keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from owkd.config import Config


def load_checked(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file with `--set` overrides. Raises `ConfigError` naming every mistake at once."""
    from search.space import load_search_config  # Optuna, which a command without a configuration does not wait for

    return load_search_config(path, overrides)
