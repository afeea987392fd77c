"""The configuration that a command is given, with every rule that a search must keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launch.output.console import errors
from owkd.config import Config, Reading, local_paths
from owkd.stalled import require_answer


def load_checked(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file with `--set` overrides.

    Raises `ConfigError` naming every mistake at once, and `UserError` where files that it names do not answer.
    """
    from search.space import read_search_config  # Optuna, which a command without a configuration does not wait for

    return _checked(read_search_config(path, overrides))


def load_for_search(path: Path | str, overrides: Sequence[str], runs: Path | str) -> Config:
    """`load_checked`, which beside mistakes also names those of what a search stands on, as `owkd plan` does."""
    from search.planning.mistakes import find_mistakes
    from search.space import read_search_config

    reading = read_search_config(path, overrides)
    if reading.config is None:
        raise reading.refusal(find_mistakes(reading, runs))
    return _checked(reading)


def require_files(config: Config) -> None:
    """Raises `UserError` where the file system of something that a configuration names has stalled."""
    require_answer([Path(path) for path in local_paths(config).values() if path is not None])


def _checked(reading: Reading) -> Config:
    print_notes(reading)
    config = reading.whole()
    require_files(config)
    return config


def print_notes(reading: Reading) -> None:
    """Prints what is no mistake, but should be known to whoever wrote the file."""
    for note in reading.notes:
        errors.print(f"{reading.source}: {note}", soft_wrap=True)
