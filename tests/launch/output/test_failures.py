"""Errors of the system, and of nobody's making, are one line with an exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launch import cli
from launch.cli import run_command
from launch.output.failures import MACHINE, NAMED, TRACEBACK, failure_of
from owkd.errors import DataError, OwkdError

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
OWKD = [sys.executable, "-c", "from launch.cli import main; main()"]


def from_another(inner: BaseException, outer: Exception) -> Exception:
    outer.__context__ = inner
    return outer


class SafetensorError(Exception):
    """As the library's: an error of the system as text."""


FULL = OSError(errno.ENOSPC, "No space left on device", "/disk/last.pt")
CASES: list[tuple[Exception, int, str]] = [
    (OwkdError("it failed"), 1, "it failed"),
    (DataError("no such fold"), 2, "no such fold"),
    (FULL, 1, "/disk/last.pt must be usable, but the disk is full; make room"),
    (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full; make room, or name a place on another"),
    (OSError(errno.EDQUOT, "", "/home/x"), 1, "/home/x must be usable, but your share of the disk is used up"),
    (OSError(errno.EROFS, "", "/cd/x"), 2, "/cd/x must be usable, but it is read-only; name a place"),
    (PermissionError(errno.EACCES, "", b"/root/x"), 2, "/root/x must be usable, but this user may not"),
    (NotADirectoryError(errno.ENOTDIR, "", "/a/file/x"), 2, "something on the way to it is a file"),
    (IsADirectoryError(errno.EISDIR, "", "/a"), 2, "/a must be usable, but it is a folder; name a file"),
    (OSError(errno.EXDEV, "Invalid link", "/a", None, "/b"), 1, "OSError: [Errno 18] Invalid link: '/a' -> '/b'"),
    (from_another(FULL, RuntimeError("unexpected pos 64 vs 0")), 1, "/disk/last.pt must be usable, but the disk is"),
    (SafetensorError("I/O error: No space left on device (os error 28)"), 1, "the disk is full"),
    (OSError("Failed to open '/x'. Detail: [errno 28] No space left on device"), 1, "the disk is full"),
    (MemoryError(), 1, "the memory is used up"),
    (
        ValueError("month must be in 1..12\nand more"),
        1,
        "ValueError: month must be in 1..12 and more (runs.py:",
    ),
    (ValueError("an error 28 that is none of the system"), 1, "ValueError: an error 28"),
    (RecursionError("maximum recursion depth exceeded"), 1, "RecursionError: maximum recursion depth exceeded"),
    (KeyError(), 1, "KeyError"),
]


@pytest.mark.parametrize(
    ("error", "code", "words"), CASES, ids=[f"{at}-{type(case[0]).__name__}" for at, case in enumerate(CASES)]
)
def test_a_failure_is_one_line_and_a_code(
    error: Exception, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TRACEBACK, raising=False)

    def fail(*given: Any, **named: Any) -> None:
        raise error

    monkeypatch.setattr("launch.output.trials.print_trials", fail)
    assert run_command(["trials", "runs/x"]) == code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert said.startswith("owkd: " if code == 2 else "owkd failed: ")


def test_no_error_of_the_system_has_two_remedies() -> None:
    assert not NAMED.keys() & MACHINE.keys()
    assert all(errno.errorcode[number] for number in (*NAMED, *MACHINE))


def test_the_traceback_is_shown_to_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACEBACK, "1")
    try:
        cli._print_refusal(None, [])  # type: ignore[arg-type]  # the mistake is the point
    except AttributeError as error:
        text = failure_of(error).text
    assert "(cli.py:" in text.splitlines()[0]
    assert "Traceback (most recent call last)" in text


@pytest.mark.parametrize("first", [["--help"], ["config"]])
def test_whoever_stops_reading_ends_a_command_in_silence(first: list[str]) -> None:
    process = subprocess.Popen([*OWKD, *first], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) in (141, 0)
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(closed: str, tmp_path: Path) -> None:
    """What is opened first would take their numbers, and get what is meant for them."""
    command = f'"$0" -c "$1" data synth "$2" --identities 16 --images 2 --size 16 {closed}'
    given = [sys.executable, OWKD[2], str(tmp_path)]
    done = subprocess.run(["sh", "-c", command, *given], env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "Synthetic_thermal" / "Fold1").is_dir()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
def test_output_to_a_full_disk_is_a_failure() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*OWKD, "--version"], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False)
    assert done.returncode == 1
    assert b"the disk is full" in done.stderr


def test_any_name_can_be_printed_on_any_terminal(tmp_path: Path) -> None:
    name = os.fsdecode(b"r\xffn-\xc3\xa9")
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*OWKD, "trials", str(tmp_path / name)], env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
