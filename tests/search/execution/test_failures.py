"""What a search survives, on real Ray: GPU memory that runs out, workers that die, nodes that vanish.

Each search runs in a process of its own, because a process can be joined to one Ray only, and this one is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search.results.tables import read_epochs, read_trials
from tests.support.fake_training import make_plan

PROGRAMS = Path(__file__).parents[1] / "programs"


def drive(tmp_path: Path, program: str, timeout: float, **environment: str) -> str:
    """Runs a search -> what it printed."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), **environment}
    done = subprocess.run(
        [sys.executable, PROGRAMS / program, str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def told(run: Path) -> list[optuna.trial.FrozenTrial]:
    backend = JournalFileBackend(str(run / "study.journal"))
    return optuna.load_study(study_name=run.name, storage=optuna.storages.JournalStorage(backend)).trials


@pytest.mark.timeout(240)
def test_memory_that_runs_out_workers_that_die_and_trials_that_are_given_up(tmp_path: Path) -> None:
    """Trials share a GPU by halves; its memory is Ray's word only."""
    fates = {0: "die", 1: "out of memory on half a GPU", 2: "out of memory", 6: "bad"}
    make_plan(tmp_path, {f"trial-{number:05d}": fate for number, fate in fates.items()})
    printed = drive(tmp_path, "one_gpu.py", timeout=220)
    run = tmp_path / "runs" / "fake"
    rows = read_trials(run / "results").to_pylist()
    assert [(row["state"], row["attempt"], row["gpu_share"], row["stopped_by"]) for row in rows[:3]] == [
        ("complete", 3, 0.5, None),  # it died once on each fold
        ("complete", 2, 1.0, None),
        ("out_of_memory", 2, 1.0, None),
    ], printed
    assert [(rows[6][name]) for name in ("state", "attempt", "gpu_share", "stopped_by")] == ["pruned", 1, 0.5, "race"]
    assert "behind trial" in printed
    ends = [trial.state for trial in told(run)]
    assert ends[:3] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert ends[6] == TrialState.PRUNED
    epochs = read_epochs(run / "results").to_pylist()
    for number, count in {0: 8, 1: 8, 2: 1, 6: 4}.items():
        assert [row["step"] for row in epochs if row["trial"] == number] == list(range(1, count + 1))
    again = [(row["step"], row["attempt"]) for row in epochs if row["trial"] == 1]
    assert again == [(1, 1), *((step, 2) for step in range(2, 9))]  # the first epoch was not trained twice


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_trials_move_from_node_to_node(tmp_path: Path) -> None:
    """A node joins and gets a trial; the other is killed under its trial, then the last one too; a third one joins.

    No failure is allowed (`max_failures` 0), and none is counted.
    """
    printed = drive(tmp_path, "nodes_come_and_go.py", timeout=280, FAKE_EPOCH_S="1")
    run = tmp_path / "runs" / "fake"
    assert "the node that joined has a trial" in printed
    assert "trial 0 interrupted: its node is gone" in printed
    assert "waiting for a worker: no node holds a trial (1 CPU) now" in printed, printed
    rows = read_trials(run / "results").to_pylist()
    assert [row["state"] for row in rows[:4]] == ["complete"] * 2, printed
    assert [row["attempt"] for row in rows[:4]] == [3, 1]
    epochs = [row for row in read_epochs(run / "results").to_pylist() if row["trial"] == 0]
    assert [row["epoch"] for row in epochs] == list(range(1, 41))
    attempts = [row["attempt"] for row in epochs]
    assert attempts == sorted(attempts)
    assert {1, 3} <= set(attempts)  # what the first node had done was not done again
