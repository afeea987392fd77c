"""What is submitted: one command of owkd, made to mean the same on the head as on this machine."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.configuration import load_checked
from owkd.config import path_fields
from owkd.errors import UserError
from search.storage.address import Address

RUN_COMMANDS = ("resume", "retrain")
COMMANDS = ("search", *RUN_COMMANDS, "doctor")
_VALUE_OPTIONS = ("--config", "--runs", "--name", "--set", "--trials", "--address")
"""options of these commands that are followed by a value"""


@dataclass(frozen=True)
class Submission:
    """A command that the head can run.

    Attributes:
        config_file: of this machine; the job finds it in its working directory, under its name alone
    """

    words: tuple[str, ...]
    run_name: str
    config_file: Path | None

    def copy_files(self, folder: Path) -> None:
        """Puts the configuration where the job's working directory is made from."""
        if self.config_file is not None:
            shutil.copyfile(self.config_file, folder / self.config_file.name)


def make_submission(arguments: Sequence[str]) -> Submission:
    """Checks a command and the configuration that it names.

    Raises `ConfigError` for what is wrong with the configuration, `UserError` for another command, for a missing
    argument and for paths that mean nothing on the nodes.
    """
    words = [part for word in arguments for part in _option_and_value(word)]
    command = words[0] if words else "none"
    if command not in COMMANDS:
        raise UserError(f"the command must be one of {', '.join(COMMANDS)}, but got {' '.join(words) or 'none'}")
    if command in RUN_COMMANDS:
        run = words[_argument_index(words, "a run", "RUN")]
        _require_absolute({"RUN": run})
        return Submission(tuple(words), Address.of(run).name, None)
    if command == "search":
        return _with_config(words, _argument_index(words, "a configuration", "CONFIG"))
    config_index = _value_index(words, "--config")
    if config_index is not None:
        return _with_config(words, config_index)
    _require_absolute({"--runs": _value(words, "--runs")})
    return Submission(tuple(words), "cluster", None)


def _with_config(words: list[str], config_index: int) -> Submission:
    file = Path(words[config_index])
    changes = [value for option, value in itertools.pairwise(words) if option == "--set"]
    config = load_checked(file, changes)
    runs = _value(words, "--runs")
    if runs is None:
        raise UserError("--runs must name a folder or an object store that every node shares; add --runs FOLDER")
    _require_absolute({"--runs": runs, **path_fields(config)})
    on_the_head = (*words[:config_index], file.name, *words[config_index + 1 :])
    return Submission(on_the_head, _value(words, "--name") or config.name, file)


def _option_and_value(word: str) -> list[str]:
    """`--runs=DIR` -> `--runs`, `DIR`; any other word alone."""
    return word.split("=", 1) if word.startswith("--") else [word]


def _argument_index(words: Sequence[str], kind: str, name: str) -> int:
    """Index of the argument that is no option and no option's value. Raises `UserError` where there is none."""
    for index in range(1, len(words)):
        if not words[index].startswith("-") and words[index - 1] not in _VALUE_OPTIONS:
            return index
    raise UserError(f"owkd {words[0]} must be given {kind}, but got none; name one: -- {words[0]} {name}")


def _value_index(words: Sequence[str], option: str) -> int | None:
    """Index of an option's value; of the last one, as on the command line, where it is given several times."""
    return max((index + 1 for index, word in enumerate(words[:-1]) if word == option), default=None)


def _value(words: Sequence[str], option: str) -> str | None:
    index = _value_index(words, option)
    return None if index is None else words[index]


def _require_absolute(paths: Mapping[str, str | None]) -> None:
    given = {name: path for name, path in paths.items() if path is not None and "://" not in path}
    relative = [f"{name}={path}" for name, path in given.items() if not Path(path).is_absolute()]
    if relative:
        raise UserError(
            f"paths must be absolute, and as the nodes see them, but got {', '.join(relative)}; write them from / on"
        )
