"""Who may write in a run: one driver at a time, that begins by sweeping what a killed one left half-written."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from owkd import temporary
from owkd.errors import UserError
from owkd.files import make_folder
from search.runs.layout import RunFolder, draft_prefix
from search.storage import lease

TEMPORARY = re.compile(r"\..+\.\d+(-[0-9a-f]{8})?\.tmp")
"""names that `owkd.files.written_whole` gives to what is not whole yet"""


@contextmanager
def lock_run(folder: RunFolder) -> Iterator[None]:
    """Holds the run for this process, so that two drivers never write to one run.

    The lock is the kernel's: it goes with the process, however that ends. The file names host and process for readers
    on other hosts, where file systems share no locks. In a store a lease stands beside it, and
    what is written goes there. What a killed driver left half-written is removed on entry, and Ray's scratch folder on
    exit. Whoever holds a run holds the control within it.

    Raises `UserError` when another process drives this run.
    """
    try:
        make_folder(folder.root)
        handle = os.open(folder.lock, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise UserError(
            f"a run must be writable for its driver, but {folder.lock} is not ({error.strerror}); see to its rights"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"a run must have one driver, but another process drives {folder.address}; wait for it or stop it"
            ) from None
        os.truncate(handle, 0)
        os.write(handle, f"{socket.gethostname()} {os.getpid()}\n".encode())
        with folder.mirror.driven() if folder.mirror is not None else nullcontext():
            remove_leftovers(folder)
            try:
                yield
            finally:
                for each in (folder, folder.control):
                    shutil.rmtree(each.scratch, ignore_errors=True)
                os.truncate(handle, 0)
    finally:
        os.close(handle)


def is_locked(folder: RunFolder) -> bool:
    """Whether a process drives this run at the moment, as far as this machine or the run's store can tell."""
    if is_locked_here(folder):
        return True
    if folder.mirror is None:
        return False
    current = lease.read_lease(folder.mirror.place)
    return current is not None and current.is_alive(folder.mirror.timings)


def is_locked_here(folder: RunFolder) -> bool:
    """Whether a process drives this run, or its working copy, as far as this machine can tell.

    Where the lock may not be read, or names a driver on another host that did not leave, somebody does: only a run that
    is known to be left is called so. Reading is enough to ask, for a reader may be another user.
    """
    try:
        handle = os.open(folder.lock, os.O_RDONLY)
    except OSError as error:
        return isinstance(error, PermissionError)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        host = os.read(handle, 256).decode(errors="replace").partition(" ")[0]
        return host not in ("", socket.gethostname())
    except OSError:
        return True
    finally:
        os.close(handle)


def remove_leftovers(folder: RunFolder) -> None:
    """Removes what an earlier driver was writing when it died; only for the holder of the run."""
    temporary.remove_leftovers(folder.root.parent, draft_prefix(folder.name))  # of a driver that died while it made it
    # The run is there, so that whoever is about to draft it anew is refused in any case.
    temporary.remove_unbegun(folder.root.parent, draft_prefix(folder.name))
    temporary.unmark(folder.root)  # cut off when it had just got its name
    for each in (folder, folder.control):
        shutil.rmtree(each.scratch, ignore_errors=True)
        # Optuna's own lock on its journal: without its holder it would cost half a minute of waiting.
        each.journal.with_name(each.journal.name + ".lock").unlink(missing_ok=True)
        _cut_torn_line(each.journal)
    for partial in folder.root.rglob(".*.tmp"):
        if TEMPORARY.fullmatch(partial.name) and not partial.is_dir():
            partial.unlink(missing_ok=True)


def _cut_torn_line(journal: Path) -> None:
    """Lines are whole or they are the last one: only what follows the last line's end is removed."""
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 20))
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                start += newline + 1
                break
            end = start
        else:
            start = 0
        file.truncate(start)
