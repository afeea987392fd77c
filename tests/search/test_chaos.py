"""Drivers that die: by SIGKILL at a random moment, by Ctrl-C, at each of their writes; and what `resume` makes of it.

`make chaos` does the same many more times.
"""

from __future__ import annotations

import io
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from search.results.listing import list_trials
from search.run_search import resume
from search.runs.manifest import open_run
from search.study.study import Study
from tests.chaos.driver import WORK, prepare, run_of
from tests.chaos.killing import Driver, known_epochs, members, start, wait_until_gone
from tests.chaos.whole import violations

TRIALS = 5
FATES = {1: "diverge", 3: "bad"}
EPOCH_S = 0.3
GRACE_S = 30
"""what batch systems give between their first signal and SIGKILL"""


def views(run: Path) -> list[tuple[str, int]]:
    """State and attempt of each trial."""
    return [(view.state, view.attempt) for view in Study(run / "study.journal", "fake", open_run(run)[1]).views()]


def drive_to(folder: Path, epochs: int) -> Driver:
    """A search on its own Ray, so many epochs on its way."""
    run = prepare(folder, trials=TRIALS, seed=4, fates=FATES)
    driver = start(folder, EPOCH_S)
    deadline = time.monotonic() + 60
    while known_epochs(run) < epochs:
        assert not driver.ended, driver.printed()
        assert time.monotonic() < deadline, driver.printed()
        time.sleep(0.05)
    return driver


def go_on(folder: Path, connect) -> None:
    resume(run_of(folder), connect=connect, console=Console(file=io.StringIO()), work=WORK)


def running(states: list[tuple[str, int]]) -> set[int]:
    """Trials that a worker had begun: one that was only handed out has no attempt yet, and was not interrupted."""
    return {number for number, (state, attempt) in enumerate(states) if state == "running" and attempt}


def test_a_killed_driver_is_resumed_as_if_nothing_had_happened(tmp_path: Path, connect) -> None:
    driver = drive_to(tmp_path, 2)
    moment = random.SystemRandom().uniform(0, 2)
    print(f"killed {moment:.3f} s after the second epoch")
    time.sleep(moment)
    assert driver.kill() == -signal.SIGKILL
    run = run_of(tmp_path)
    before = views(run)
    assert running(before)
    assert "interrupted" in list_trials(run)["state"].to_pylist()

    go_on(tmp_path, connect)
    for (state, attempt), (_, now) in zip(before, views(run), strict=False):
        assert now == attempt + (state == "running")
    assert wait_until_gone(driver.pid) == []
    assert violations(tmp_path, trials=TRIALS, interrupted=running(before)) == []


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_says_how_to_go_on_and_leaves_no_process(how: signal.Signals, tmp_path: Path, connect) -> None:
    """A terminal and a batch system send it to the whole group, so to Ray's processes too."""
    driver = drive_to(tmp_path, 3)
    begun = time.monotonic()
    assert driver.kill(how) == 128 + how
    assert time.monotonic() - begun < GRACE_S
    run = run_of(tmp_path)
    assert f"owkd resume {run}" in "".join(driver.printed().splitlines())
    assert members(driver.pid) == []
    assert not list(Path("/tmp").glob(f"owkd-ray-{driver.pid}-*"))
    assert not (run / ".ray").exists()

    interrupted = running(views(run))
    go_on(tmp_path, connect)
    assert violations(tmp_path, trials=TRIALS, interrupted=interrupted) == []


@pytest.mark.parametrize("cuts", [["--every", "97"], ["--every", "191", "--power", "1"]], ids=["process", "power"])
def test_a_driver_may_end_before_any_of_its_writes(cuts: list[str]) -> None:
    """In a process of its own, which forks: a process with Ray's threads must not."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.cuts", "--first", "40", *cuts],
        env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("passed: a driver without Ray, cut off ")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search without Ray."""
    from tests.chaos.cuts import drive

    folder = tmp_path_factory.mktemp("finished")
    prepare(folder, trials=TRIALS, seed=4, fates=FATES)
    drive(folder)
    assert violations(folder, trials=TRIALS, interrupted=set()) == []
    return folder


def lose_an_epoch(run: Path) -> None:
    path = run / "results" / "epochs" / "trial-00000.parquet"
    pq.write_table(pq.read_table(path)[1:], path)


def double_an_epoch(run: Path) -> None:
    path = run / "results" / "epochs" / "trial-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table[:1], path.with_name("trial-00000-again.parquet"))


def lose_a_trial(run: Path) -> None:
    (run / "results" / "trials" / "trial-00002.parquet").unlink()


def change_a_number(run: Path) -> None:
    path = run / "results" / "epochs" / "trial-00002.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("val/mAP")
    pq.write_table(table.set_column(at, "val/mAP", [[x + 1e-12 for x in table["val/mAP"].to_pylist()]]), path)


def leave_a_file(run: Path) -> None:
    (run / "results" / ".x.parquet.1.tmp").touch()


def ask_once_more(run: Path) -> None:
    study = Study(run / "study.journal", "fake", open_run(run)[1])
    study.add_trials(1)
    study.next()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lose_an_epoch, "trial 0 .*steps"),
        (double_an_epoch, "epochs stand twice"),
        (lose_a_trial, "the table has"),
        (change_a_number, "when trained alone"),
        (leave_a_file, "left behind"),
        (ask_once_more, "RUNNING in the study"),
    ],
)
def test_the_check_finds_what_is_wrong(
    finished: Path, tmp_path: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(finished, folder)
    spoil(run_of(folder))
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError("\n".join(violations(folder, trials=TRIALS, interrupted=set())))
