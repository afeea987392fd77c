"""A part of a run for a program that reads folders, kept fresh while it looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.runs.manifest import open_run
from search.storage.address import Address


@contextmanager
def followed(run: Address | Path | str, part: str, *, every_s: float) -> Iterator[Path]:
    """The folder `part` of a run: its own, or a copy of what a store holds, fetched anew every so many seconds.

    Raises `UserError` for an address without a run; a folder is not looked at.
    """
    address = Address.of(run)
    if not address.remote:
        yield address.path / part
        return
    folder, _, _ = open_run(address, only=(part,))
    over = threading.Event()
    follower = threading.Thread(target=_follow, args=(address, part, every_s, over), daemon=True)
    follower.start()
    try:
        yield folder.root / part
    finally:
        over.set()
        follower.join()


def _follow(address: Address, part: str, every_s: float, over: threading.Event) -> None:
    while not over.wait(every_s):
        try:
            open_run(address, only=(part,))
        except OSError:  # the store is away: what was fetched stays
            continue
