"""A driver in a process group of its own, the moments at which it is killed, and who is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search.results.tables import read_epochs, read_trials
from search.runs.layout import RunFolder
from search.runs.lock import is_locked
from tests.chaos.driver import UP, run_of

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0

Moment = Literal["start-up", "opening", "mending", "training", "at once", "ending"]
"""opening: the run was just taken; mending: Ray is there; at once: a kill soon after the kill before it"""


@dataclass
class Driver:
    """A driver under way, in `folder`."""

    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def printed(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Signals the whole process group, as a terminal, a batch system or the kernel would -> exit status."""
        os.killpg(self.pid, how)
        return self.process.wait(PATIENCE_S)


def start(folder: Path, epoch_s: float) -> Driver:
    """Begins the search of a prepared folder, or goes on with it."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FAKE_EPOCH_S": str(epoch_s),
        "OMP_NUM_THREADS": "1",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    log = folder / "driver.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.driver", str(folder)],
            env=environment,
            start_new_session=True,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Driver(folder, process, log, time.monotonic())


def wait_for(driver: Driver, moment: Moment, rng: random.Random, trials: int) -> bool:
    """Waits until the moment has come -> False when the driver was done before."""
    run = run_of(driver.folder)
    epochs = known_epochs(run)
    delay = 0.0
    match moment:
        case "start-up":
            reached, delay = lambda: True, rng.uniform(0, 5)
        case "at once":
            reached, delay = lambda: True, rng.uniform(0, 1.5)
        case "opening":
            reached, delay = lambda: is_locked(RunFolder(run)), rng.uniform(0, 0.1)
        case "mending":
            reached, delay = lambda: UP in driver.printed(), rng.uniform(0, 0.4)
        case "training":
            more = rng.randint(1, 7)
            reached, delay = lambda: known_epochs(run) >= epochs + more, rng.uniform(0, 0.3)
        case "ending":
            reached, delay = lambda: over(run) >= trials - 1, rng.uniform(0, 1)
    return _until(driver, reached) and not _ends_within(driver, delay)


def known_epochs(run: Path) -> int:
    return int(read_epochs(run / "results").num_rows)


def over(run: Path) -> int:
    """Trials that are over, by their table."""
    return sum(row["state"] != "running" for row in read_trials(run / "results").to_pylist())


def members(session: int) -> list[str]:
    """Processes of a session, by name: what a driver started stays in the driver's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if rest.split()[3] == str(session) and rest.split()[0] != "Z":
            found.append(name)
    return found


def wait_until_gone(session: int, seconds: float = 20.0) -> list[str]:
    """Waits for the end of a session -> who is still there after that time."""
    deadline = time.monotonic() + seconds
    while (left := members(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _until(driver: Driver, reached: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        if driver.ended:
            return False
        if time.monotonic() > deadline:
            raise TimeoutError(f"the search does not get on; the driver printed:\n{driver.printed()}")
        time.sleep(0.02)
    return True


def _ends_within(driver: Driver, seconds: float) -> bool:
    try:
        driver.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
