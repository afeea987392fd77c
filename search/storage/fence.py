"""Whose turn it is to write a job's checkpoints: a number beside them that the driver raises with each attempt.

A worker of a node that was given up may live on behind a broken network, and end an epoch after its successor began.
So before each file of its gets its name, or goes to a store, it compares its number with the one that is there: with
another one it has a successor, and without any the job is over.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from owkd.errors import OwkdError
from owkd.files import written_whole
from search.storage.address import Address
from search.storage.object_store import ObjectStore, retry_while_unavailable

NAME = "attempt"


class SupersededError(OwkdError):
    """Another attempt at a job began; this one must not write any more."""


@dataclass(frozen=True)
class Fence:
    """The number of an attempt, and where that of the current one stands.

    Attributes:
        folder: path or URI
        attempt: 0 where nobody counts, as in a training by itself
    """

    folder: str
    attempt: int = 0

    def next_attempt(self) -> int:
        """Raises the number that stands there -> the new one. Only for the driver. Raises `OSError`."""
        number = self._current() + 1
        address, text = Address.of(self.folder), f"{number}\n"
        if address.remote:
            retry_while_unavailable(lambda: ObjectStore.at(address).write(NAME, text.encode()))
        else:
            with written_whole(address.path / NAME) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return number

    def require(self) -> None:
        """Raises `SupersededError` unless this is the current attempt, `OSError` when the store stays away."""
        if self.attempt and (current := self._current()) != self.attempt:
            raise SupersededError(f"attempt {self.attempt} must be the current one in {self.folder}, but is {current}")

    def _current(self) -> int:
        """0 where there is none."""
        address = Address.of(self.folder)
        content = retry_while_unavailable(lambda: ObjectStore.at(address).read(NAME))
        with suppress(ValueError):
            return int(content or b"0")
        return 0
