"""Commands that a signal ends: what they say, their exit code, and a terminal that is gone."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = """
import contextlib, fcntl, sys, termios, time
from launch import cli
from launch.output.console import console
from launch.output.summary import continued_by_the_same_command

def work(*given, **named):
    with continued_by_the_same_command():
        console.print("at work")
        while True:
            time.sleep(0.01)
            if sys.stdout.isatty():
                console.print("still at work")

import launch.output.trials
launch.output.trials.print_trials = work
with contextlib.suppress(OSError):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[1:] = ["trials", "runs/x"]
cli.main()
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, "Terminated."), (signal.SIGHUP, 129, "Terminated.")],
)
def test_a_command_says_how_to_go_on(number: int, code: int, last: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert said.splitlines() == ["Stopped; nothing is lost: the same command continues.", last]
    assert process.returncode == code


def test_a_terminal_that_is_closed_ends_a_command_in_order() -> None:
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    while b"at work" not in said:
        said += os.read(mine, 4096)
    os.close(mine)
    assert process.wait(60) == 129
