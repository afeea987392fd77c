"""Whether driver and nodes see each other's files where runs are stored: a folder, or a store that pyarrow.fs knows."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from launch.doctor.node_facts import FAILED, Facts, Storage
from owkd.errors import UserError
from search.storage.address import Address
from search.storage.object_store import ObjectStore


@contextmanager
def driver_file(runs: Address | None) -> Iterator[Storage | None]:
    """A folder where runs are stored, with a file of the driver's in it; removed at the end. Raises `UserError`."""
    if runs is None:
        yield None
        return
    place = runs if runs.remote else _existing(runs)
    folder, content = place / f".owkd-doctor-{secrets.token_hex(6)}", secrets.token_hex(16)
    try:
        if not folder.remote:
            folder.path.mkdir()
        ObjectStore.at(folder).write("driver", content.encode())
    except OSError as error:
        raise UserError(
            f"the place of runs must be writable, but got {place} on {socket.gethostname()} "
            f"({error.strerror or error}); change --runs{', or see to its credentials' if runs.remote else ''}"
        ) from error
    try:
        yield str(folder), "driver", content
    finally:
        with suppress(OSError):
            ObjectStore.at(folder).remove("")


def driver_sees_file(storage: Storage | None, facts: Facts, wait_s: float) -> bool:
    """Whether the driver sees the file that a node reports to have written; a network file system may show it late."""
    if storage is None:
        return True
    name = facts["files"].get("storage", FAILED)
    if name.startswith(FAILED):
        return False
    store = ObjectStore.at(Address.of(storage[0]))
    deadline = time.monotonic() + wait_s
    while not (is_there := store.has(name)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_there


def _existing(runs: Address) -> Address:
    """The folder that runs will be made in."""
    path = runs.path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return Address(str(path))
