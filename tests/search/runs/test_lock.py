"""Whether a run is driven: also for a reader who may not write, may not read its lock, or is on another host."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from search.runs.layout import RunFolder
from search.runs.lock import is_locked, lock_run


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_a_run_is_driven_as_long_as_its_driver_lives(folder: RunFolder) -> None:
    assert not is_locked(folder)
    with lock_run(folder):
        assert is_locked(folder)
        assert folder.lock.read_text().split() == [socket.gethostname(), str(os.getpid())]
    assert not is_locked(folder)
    folder.lock.write_text(f"{socket.gethostname()} 4711\n")  # of a driver here that was killed: its lock went with it
    assert not is_locked(folder)


def test_a_reader_needs_no_right_to_write(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights are refused by a stand-in: tests may run as root, for whom there are none."""
    real_open = os.open

    def read_only(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, flags, mode)

    with lock_run(folder):
        monkeypatch.setattr(os, "open", read_only)
        assert is_locked(folder)
    assert not is_locked(folder)


def test_who_may_not_look_calls_nothing_interrupted(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    with lock_run(folder):
        pass
    monkeypatch.setattr(os, "open", refuse)
    assert is_locked(folder)


def test_a_driver_on_another_host_that_did_not_leave_is_believed(folder: RunFolder) -> None:
    """File systems that share no locks show its lock as free."""
    with lock_run(folder):
        pass
    folder.lock.write_text("another-host 4711\n")
    assert is_locked(folder)
    with lock_run(folder):  # whoever takes the run up says so
        assert folder.lock.read_text().split()[0] == socket.gethostname()
    assert not is_locked(folder)
