"""`owkd monitor` as people start it, for tests that look at what it serves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWKD = (sys.executable, "-c", "from launch.cli import main; main()")


@contextmanager
def monitored(run: str, runs: int) -> Iterator[str]:
    """Where the command serves, once it shows so many of TensorBoard's runs; Ctrl-C ends it, with exit code 130."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*OWKD, "monitor", run, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        _await(f"{address}/data/runs", runs)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"{address}/" in said


def _await(url: str, runs: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if len(json.loads(urllib.request.urlopen(url).read())) == runs:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{url} does not show {runs} runs after {seconds:g} s"
        time.sleep(0.3)
