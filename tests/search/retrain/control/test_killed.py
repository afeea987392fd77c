"""A final stage that is killed while its control searches goes on with each trial where it stood."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from owkd.config import parse_config
from search.execution.resources import TrialResources
from search.recorder import SearchRecorder
from search.results.tables import read_epochs, read_trials
from search.retrain.stage import FinalWork, retrain
from search.run_search import Work, run_trials
from search.runs.layout import RunFolder
from search.runs.manifest import create, open_run
from search.study.study import Study
from tests.support.fake_training import fake_check, fake_config, fake_evaluate, fake_run
from tests.support.inline_jobs import evaluate_here, work_off, work_side_by_side
from tests.support.sessions import wait_until_gone

EPOCHS = 4
ROOT = Path(__file__).parents[4]
PROGRAM = ROOT / "tests" / "search" / "programs" / "final_stage.py"
ONE = TrialResources(1, 0, 1)


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished search with a control to come, done in this process."""
    tree = fake_config(tmp_path, trials=6, sampler={"name": "tpe", "seed": 4, "startup_trials": 2})
    final_stage = {"top_k": 1, "seeds": 2, "epochs": 2, "control": "on"}
    config = parse_config({**tree, "retrain": final_stage})
    (tmp_path / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)
    monkeypatch.setattr("search.run_search.run_jobs", work_side_by_side)
    folder = create(tmp_path / "runs" / "fake", config, fake_check(config))
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config))
    work = Work(fake_run, fake_check)
    run_trials(recorder, ONE, None, title="search", console=Console(file=io.StringIO()), work=work)
    return folder


def kill_in_the_control(folder: RunFolder) -> None:
    """Starts the final stage, and kills its process group when a trial of the control is over and another under way."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_EPOCH_S": "0.5"}
    driver = subprocess.Popen(
        [sys.executable, PROGRAM, str(folder.root)],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 100
    try:
        while not in_the_middle(folder.control):
            assert driver.poll() is None, "the final stage ended by itself"
            assert time.monotonic() < deadline, "the control does not get on"
            time.sleep(0.05)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    wait_until_gone(driver.pid)


def in_the_middle(control: RunFolder) -> bool:
    """A trial is over, and one that is not has epochs in the tables."""
    if not control.results.is_dir():
        return False
    states = {row["trial"]: row["state"] for row in read_trials(control.results).to_pylist()}
    begun = {row["trial"] for row in read_epochs(control.results).to_pylist()}
    return "complete" in states.values() and any(states.get(trial) == "running" for trial in begun)


@pytest.mark.slow
def test_a_control_that_was_killed_goes_on_where_each_trial_stood(
    searched: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_in_the_control(searched)
    assert not (searched.root / "retrain").exists()
    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)
    monkeypatch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)
    final = FinalWork(fake_run, fake_evaluate, lambda config, console: (config, ONE))
    outcome = retrain(searched.root, connect=nullcontext, console=Console(file=io.StringIO()), work=final)
    assert outcome.comparison.row("control") is not None
    study = Study(searched.journal, "fake", open_run(searched.root)[1])
    allowed = sum(len(view.curve) for view in study.views() if view.fixed is None)
    rows = read_epochs(searched.control.results).to_pylist()
    assert allowed <= len(rows) < allowed + EPOCHS
    assert sorted((row["trial"], row["epoch"]) for row in rows) == [
        (trial, epoch) for trial in range(len(rows) // EPOCHS) for epoch in range(1, EPOCHS + 1)
    ]
    trials = read_trials(searched.control.results).to_pylist()
    assert {row["state"] for row in trials} == {"complete"}
    assert max(row["attempt"] for row in trials) >= 2
