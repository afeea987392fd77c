"""Processes of a session of their own, which a test killed."""

from __future__ import annotations

import time
from pathlib import Path


def wait_until_gone(session: int) -> None:
    """Workers see for themselves that their driver is gone, and may write another epoch until then."""
    deadline = time.monotonic() + 30
    while any(_session(path) == session for path in Path("/proc").glob("[0-9]*/stat")):
        assert time.monotonic() < deadline, "workers outlive their driver"
        time.sleep(0.1)


def _session(stat: Path) -> int | None:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])
