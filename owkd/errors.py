"""Everything that owkd raises on purpose, under one root.

A `UserError` means that the input was refused before or instead of work: its text names the thing, its value and
the remedy, and a command line shows it without a traceback (exit code 2). Other `OwkdError`s mean that the work
itself failed (exit code 1).
"""

from collections.abc import Sequence


class OwkdError(Exception):
    """Root of all errors that owkd raises on purpose."""


class UserError(OwkdError):
    """What the user gave cannot be used; nothing was started and nothing half-written is left behind."""


class ConfigError(UserError):
    """One or more mistakes in a configuration, all of them reported at once."""

    def __init__(self, problems: Sequence[str], source: str = "the configuration") -> None:
        self.problems = tuple(problems)
        self.source = source
        count = "1 mistake" if len(self.problems) == 1 else f"{len(self.problems)} mistakes"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{count} in {source}:\n{lines}")


class DataError(UserError):
    """A data set, fold or image is missing, empty or damaged."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, unsafe, or of another model than the one asked for."""


class DivergedError(OwkdError):
    """A loss stopped being finite; training cannot continue."""
