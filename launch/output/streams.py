"""Standard output and error of the process: there, and able to take any text."""

from __future__ import annotations

import io
import os
import sys


def make_robust() -> None:
    """Streams that were closed lead nowhere, so that no file of ours takes their place; any text can be written.

    To be called once, before anything is opened.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  # as long as the process lives
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no text, and terminals no UTF-8


def flush() -> None:
    """Writes what is left. Raises `OSError` when it cannot; then nothing is tried at the interpreter's end."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        raise
