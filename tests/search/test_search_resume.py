"""Drivers that die: by SIGKILL at a random moment, by Ctrl-C; and what `resume` makes of it."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from fake_training import fake_check, fake_config, fake_run
from optuna.trial import TrialState
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from owkd.config import parse_config
from search.desk import SearchDesk
from search.folder import create, open_run
from search.listing import list_trials
from search.runner import Work, resume
from search.store import read_epochs, read_trials
from search.study import Study
from search.trainable import Message, work

WORK = Work(fake_run, fake_check)
TRIALS = 5

DRIVER = """
import sys
from pathlib import Path
from rich.console import Console
from fake_training import fake_check, fake_config, fake_run
from launch.local import _local, _saying_how_to_resume
from owkd.config import parse_config
from search.runner import Work, search
from functools import partial

tmp = Path(sys.argv[1])
config = parse_config(fake_config(tmp, trials=int(sys.argv[2]), sampler={"name": "random", "seed": 4}))
run = tmp / "runs" / "fake"
with _saying_how_to_resume(run):
    search(config, run, connect=partial(_local, cpus=2), console=Console(), work=Work(fake_run, fake_check))
"""


def start_driver(tmp_path: Path) -> subprocess.Popen:
    """A search in a process group of its own, as a shell would start it."""
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}", "FAKE_EPOCH_S": "0.4"}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), str(TRIALS)],
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_epochs(run: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while read_epochs(run / "results").num_rows < count:
        assert time.monotonic() < deadline, "the search does not get on"
        time.sleep(0.05)


def members(group: int) -> list[str]:
    """Processes that carry a session, by name: what a driver started stays in the driver's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if rest.split()[3] == str(group) and rest.split()[0] != "Z":
            found.append(name)
    return found


def wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + 20
    while members(group):
        assert time.monotonic() < deadline, f"still there: {members(group)}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Epochs of the same search, never stopped, and without Ray."""
    tmp_path = tmp_path_factory.mktemp("undisturbed")
    config = parse_config(fake_config(tmp_path, trials=TRIALS, sampler={"name": "random", "seed": 4}))
    folder = create(tmp_path / "fake", config, {})
    desk = SearchDesk(folder, config, Study(folder.journal, "fake", config))
    while (job := desk.next_job()) is not None:
        desk.started(job.key)
        last: list[Message] = []
        work(asdict(job), train=fake_run, send=lambda message, last=last: (last.append(message), desk.heard(message)))
        desk.stopped(job.key, last[-1])
    return read_epochs(folder.results).to_pylist()


def open_study(run: Path) -> Study:
    return Study(run / "study.journal", "fake", open_run(run)[1])


def check_whole(run: Path, undisturbed: list[dict]) -> None:
    """Exactly the asked trials, each over once, each epoch once, with the numbers of a search never stopped."""
    trials = read_trials(run / "results").to_pylist()
    assert [row["trial"] for row in trials] == list(range(TRIALS))
    assert {row["state"] for row in trials} == {"complete"}
    epochs = read_epochs(run / "results").to_pylist()
    keep = ("trial", "fold", "seed", "epoch", "step", "objective", "val/mAP", "loss/total")
    assert [[row[name] for name in keep] for row in epochs] == [[row[name] for name in keep] for row in undisturbed]
    assert [trial.state for trial in open_study(run)._frozen()] == [TrialState.COMPLETE] * TRIALS
    for row in trials:
        events = EventAccumulator(str(run / "tensorboard" / f"trial-{row['trial']:05d}")).Reload()
        assert [event.step for event in events.Scalars("val/mAP")] == [1, 2, 3, 4]


def test_a_killed_driver_is_resumed_as_if_nothing_had_happened(tmp_path: Path, connect, undisturbed) -> None:
    run = tmp_path / "runs" / "fake"
    driver = start_driver(tmp_path)
    moment = random.SystemRandom().uniform(0, 2.5)
    print(f"killed {moment:.3f} s after the second epoch")
    wait_for_epochs(run, 2)
    time.sleep(moment)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    before = [(view.state, view.attempt) for view in open_study(run).views()]
    assert "running" in [state for state, _ in before]
    assert "interrupted" in list_trials(run)["state"].to_pylist()

    resume(run, connect=connect, console=Console(file=io.StringIO()), work=WORK)
    check_whole(run, undisturbed)
    after = [view.attempt for view in open_study(run).views()]
    for (state, attempt), now in zip(before, after, strict=False):
        assert now == attempt + (state == "running")
    wait_until_gone(driver.pid)


def test_ctrl_c_says_how_to_go_on_and_leaves_no_process(tmp_path: Path, connect, undisturbed) -> None:
    run = tmp_path / "runs" / "fake"
    driver = start_driver(tmp_path)
    wait_for_epochs(run, 3)
    os.killpg(driver.pid, signal.SIGINT)  # a terminal sends it to the whole group
    begun = time.monotonic()
    output, _ = driver.communicate(timeout=30)
    assert time.monotonic() - begun < 15
    assert driver.returncode not in (0, -signal.SIGKILL)
    assert f"owkd resume {run}" in "".join(output.splitlines())
    assert members(driver.pid) == []
    assert not (run / ".ray").exists()

    resume(run, connect=connect, console=Console(file=io.StringIO()), work=WORK)
    check_whole(run, undisturbed)
