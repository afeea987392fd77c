"""A whole run in an object store: searched, killed, resumed here and elsewhere, retrained; training is a formula."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from launch.cli import run_command
from owkd.config import parse_config
from owkd.errors import UserError
from search.recorder import SearchRecorder
from search.results.listing import list_trials
from search.runs.lock import is_locked, lock_run
from search.runs.manifest import create, open_run
from search.runs.sync import followed
from search.storage.address import Address
from search.storage.object_store import ObjectStore
from search.study.study import Study
from tests.support.fake_training import fake_check, fake_config, fake_read_state
from tests.support.inline_jobs import work_off
from tests.support.monitored import monitored
from tests.support.s3_server import objects
from tests.support.s3_server import s3 as s3

TRIALS = 4
PROGRAM = Path(__file__).parents[1] / "programs" / "drive_in_a_store.py"


def start(tmp_path: Path, run: str, command: str, cache: str, epoch_s: float = 0.3) -> subprocess.Popen:
    """A driver in a process group of its own, on a machine that is told by its cache."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "FAKE_EPOCH_S": str(epoch_s)}
    environment["XDG_CACHE_HOME"] = str(tmp_path / cache)
    return subprocess.Popen(
        [sys.executable, PROGRAM, str(tmp_path), run, command, str(TRIALS)],
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(driver: subprocess.Popen) -> None:
    output, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, output


def kill_after(driver: subprocess.Popen, run: str, enough) -> None:
    """SIGKILL to the whole group once what is in the store is `enough`."""
    deadline = time.monotonic() + 120
    while not enough(objects(run)):
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, objects(run)
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()


def under_way(found: dict[str, int]) -> bool:
    """Two trials are running and in the tables."""
    running = sum(path.endswith("last.pt") for path in found)
    return running >= 2 and any(path.startswith("results/epochs/") for path in found)


def tables(run: str, name: str) -> list[dict]:
    """Rows of a table as somebody without owkd reads them."""
    filesystem, root = FileSystem.from_uri(run)
    paths = [path for path in objects(run) if path.startswith(f"results/{name}/")]
    return [row for path in paths for row in pq.read_table(f"{root}/{path}", filesystem=filesystem).to_pylist()]


@pytest.fixture
def data(tmp_path: Path) -> None:
    (tmp_path / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("data")
def test_a_run_in_a_store_survives_its_drivers_and_their_machines(s3: str, tmp_path: Path, monkeypatch) -> None:
    run = f"{s3}/runs/fake"
    kill_after(start(tmp_path, run, "search", "here"), run, under_way)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "reader"))
    assert {"interrupted", "running"} & set(list_trials(run)["state"].to_pylist())

    kill_after(start(tmp_path, run, "resume", "here"), run, lambda found: any("trial-00003" in path for path in found))
    finish(start(tmp_path, run, "to the end", "elsewhere", epoch_s=0.05))  # a machine that has the address alone

    trials = sorted(tables(run, "trials"), key=lambda row: row["trial"])
    assert [(row["trial"], row["state"]) for row in trials] == [(number, "complete") for number in range(TRIALS)]
    assert max(row["attempt"] for row in trials) >= 2
    epochs = [(row["trial"], row["epoch"]) for row in tables(run, "epochs")]
    assert sorted(epochs) == [(trial, epoch) for trial in range(TRIALS) for epoch in range(1, 5)]
    assert list_trials(run)["state"].to_pylist() == ["complete"] * TRIALS
    folder, config, _ = open_run(run)
    assert [view.state for view in Study(folder.journal, "fake", config).views()] == ["complete"] * TRIALS
    assert not is_locked(folder)
    kept = [path for path in objects(run) if path.startswith("checkpoints/")]
    best = list_trials(run)["trial"][0].as_py()
    numbers = sorted({1, best})  # the teacher is compared with trial 1
    assert kept == [f"checkpoints/trial-{number:05d}/seed-0/Fold1/best.safetensors" for number in numbers]

    found = objects(run)
    assert {f"retrain/champion/{name}" for name in ("student.safetensors", "config.yaml", "metrics.json")} <= set(found)
    assert not any(path.endswith(("last.pt", ".tmp", ".lock")) for path in found)
    models = [row for row in tables(run, "retrain") if row.get("checkpoint")]
    assert len(models) == 4
    assert all(row["checkpoint"] in found for row in models)
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.name in ("last.pt", "best.safetensors")]
    assert {f"control/{name}" for name in ("run.yaml", "study.journal")} <= set(found)
    assert list_trials(f"{run}/control")["state"].to_pylist() == ["complete"] * (TRIALS - 2)
    kept = [path for path in found if path.startswith("control/checkpoints/")]
    best = list_trials(f"{run}/control")["trial"][0].as_py()
    assert kept == [f"control/checkpoints/trial-{best:05d}/seed-0/Fold1/best.safetensors"]
    with pytest.raises(UserError, match=f"go on with owkd retrain {run}$"):
        open_run(f"{run}/control", drive=True)
    events = open_run(run, only=("tensorboard",))[0].tensorboard
    for number in range(TRIALS):
        curve = EventAccumulator(str(events / f"trial-{number:05d}")).Reload().Scalars("val/mAP")
        assert [event.step for event in curve] == [1, 2, 3, 4]


@pytest.fixture
def finished(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run of one trial, written without Ray."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    config = parse_config(fake_config(tmp_path, trials=1))
    folder = create(f"{s3}/runs/{tmp_path.name}", config, fake_check(config))
    with lock_run(folder):
        recorder = SearchRecorder(folder, config, Study(folder.journal, folder.name, config))
        work_off(recorder)
    return str(folder.address)


def commands() -> list[str]:
    """The commands of docs/storage.md that look at a run."""
    text = (Path(__file__).parents[3] / "docs" / "storage.md").read_text(encoding="utf-8")
    return re.findall(r"^    owkd (trials|report) s3://", text, re.MULTILINE)


def test_the_commands_of_the_page_take_an_address(finished: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert commands() == ["trials", "report"]
    for command in commands():
        assert run_command([command, finished]) == 0
    assert "complete" in capsys.readouterr().out
    assert "report.html" in objects(finished)
    monkeypatch.setattr("owkd.models.checkpoint.read_state", fake_read_state)
    assert run_command(["doctor", finished]) == 0
    assert run_command(["trials", f"{finished}-not"]) == 2
    assert "a run must hold run.yaml" in " ".join(capsys.readouterr().err.split())


def test_tensorboard_is_opened_on_an_address(finished: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with monitored(finished, runs=1) as address:
        tags = json.loads(urllib.request.urlopen(f"{address}/data/plugin/scalars/tags").read())
    assert "val/mAP" in tags["trial-00000"]


def test_a_name_that_is_taken_in_a_store_is_refused(finished: str, tmp_path: Path) -> None:
    config = parse_config(fake_config(tmp_path))
    with pytest.raises(UserError, match="a name of its own"):
        create(finished, config, {})


def test_a_followed_part_gets_what_comes_later(finished: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with followed(finished, "tensorboard", every_s=0.1) as folder:
        assert len(list(folder.glob("trial-00000/events*"))) == 1
        ObjectStore.at(Address.of(finished)).write("tensorboard/trial-00001/events.later", b"x")
        deadline = time.monotonic() + 20
        while not (folder / "trial-00001" / "events.later").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
