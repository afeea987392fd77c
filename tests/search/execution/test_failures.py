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

START = """
import sys, threading, time
from contextlib import contextmanager
from pathlib import Path
import ray
from rich.console import Console
from tests.support.fake_training import fake_check, fake_config, fake_run
from owkd.config import parse_config
from search.execution.retries import RetryTimings
from search.execution.stage import Timings
from search.run_search import Work, search
from search.results.tables import read_epochs, read_trials

tmp = Path(sys.argv[1])
run = tmp / "runs" / "fake"

def go(connect, timings, folds=("Fold1",), epochs=4, **settings):
    config = fake_config(tmp, **settings)
    config["data"]["folds"] = folds
    config["train"]["epochs"] = epochs
    console = Console(width=200)
    work = Work(fake_run, fake_check, timings=Timings(retries=timings))
    search(parse_config(config), run, connect=connect, console=console, work=work)
"""

ONE_GPU = """
@contextmanager
def connect():
    quiet = dict(include_dashboard=False, log_to_driver=False)
    with ray.init(address="local", num_cpus=2, num_gpus=1, object_store_memory=10**8, **quiet):
        yield

settings = dict(resources={"cpu": 1, "gpu": 0.5}, first_fold_margin=0.5, max_failures=2)
go(connect, RetryTimings(undecided_s=0.5), folds=["Fold1", "Fold2"], trials=5, **settings)
"""

NODES = """
from ray.cluster_utils import Cluster

size = dict(object_store_memory=10**8)
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False, **size))
first = cluster.add_node(num_cpus=1, **size)

@contextmanager
def connect():
    with ray.init(address=cluster.address, log_to_driver=False):
        yield

def until(condition):
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)

def epochs(trial):
    return read_epochs(run / "results")["trial"].to_pylist().count(trial)

timings = RetryTimings(patience_s=2.0)
searching = threading.Thread(target=go, args=[connect, timings], kwargs=dict(trials=2, epochs=40, max_failures=0))
searching.start()  # nodes are started from the main thread only
until(lambda: epochs(0) >= 1)
second = cluster.add_node(num_cpus=1, **size)
until(lambda: epochs(1) >= 1)
print("the node that joined has a trial")
cluster.remove_node(first, allow_graceful=False)
until(lambda: read_trials(run / "results")["attempt"].to_pylist()[0] == 2)
print("the interrupted trial runs on the other node")
cluster.remove_node(second, allow_graceful=False)
time.sleep(20)
cluster.add_node(num_cpus=1, **size)
searching.join()
cluster.shutdown()
"""


def drive(tmp_path: Path, script: str, timeout: float, **environment: str) -> str:
    """Runs a search -> what it printed."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), **environment}
    done = subprocess.run(
        [sys.executable, "-c", START + script, str(tmp_path)],
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
    fates = {1: "out of memory on half a GPU", 2: "out of memory", 3: "die", 4: "bad"}
    make_plan(tmp_path, {f"trial-{number:05d}": fate for number, fate in fates.items()})
    printed = drive(tmp_path, ONE_GPU, timeout=220)
    run = tmp_path / "runs" / "fake"
    rows = read_trials(run / "results").to_pylist()
    assert [(row["state"], row["attempt"], row["gpu_share"], row["stopped_by"]) for row in rows] == [
        ("complete", 1, 0.5, None),
        ("complete", 2, 1.0, None),
        ("out_of_memory", 2, 1.0, None),
        ("complete", 3, 0.5, None),  # it died once on each fold
        ("pruned", 1, 0.5, "first_fold"),
    ], printed
    assert "below trial" in printed
    assert [trial.state for trial in told(run)] == [
        *(TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE, TrialState.PRUNED),
    ]
    epochs = read_epochs(run / "results").to_pylist()
    for number, count in enumerate([8, 8, 1, 8, 4]):
        assert [row["step"] for row in epochs if row["trial"] == number] == list(range(1, count + 1))
    again = [(row["step"], row["attempt"]) for row in epochs if row["trial"] == 1]
    assert again == [(1, 1), *((step, 2) for step in range(2, 9))]  # the first epoch was not trained twice


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_trials_move_from_node_to_node(tmp_path: Path) -> None:
    """A node joins and gets a trial; the other is killed under its trial, then the last one too; a third one joins.

    No failure is allowed (`max_failures` 0), and none is counted.
    """
    printed = drive(tmp_path, NODES, timeout=280, FAKE_EPOCH_S="1")
    run = tmp_path / "runs" / "fake"
    assert "the node that joined has a trial" in printed
    assert "trial 0 interrupted: its node is gone" in printed
    assert "waiting for a worker: no node holds a trial (1 CPU) now" in printed, printed
    rows = read_trials(run / "results").to_pylist()
    assert [row["state"] for row in rows] == ["complete"] * 2, printed
    assert [row["attempt"] for row in rows] == [3, 1]
    epochs = [row for row in read_epochs(run / "results").to_pylist() if row["trial"] == 0]
    assert [row["epoch"] for row in epochs] == list(range(1, 41))
    attempts = [row["attempt"] for row in epochs]
    assert attempts == sorted(attempts)
    assert {1, 3} <= set(attempts)  # what the first node had done was not done again
