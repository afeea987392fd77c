"""A final stage whose driver is killed goes on with each model where it stood."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from owkd.config import parse_config
from search.execution.resources import TrialResources
from search.luck.seeds import Seeds
from search.recorder import SearchRecorder
from search.retrain.candidates import select_candidates
from search.retrain.stage import FinalWork, retrain
from search.runs.manifest import create, open_run
from search.study.study import Study
from tests.support.fake_training import curve, fake_config, fake_evaluate, fake_run
from tests.support.inline_jobs import evaluate_here, work_off
from tests.support.sessions import wait_until_gone

EPOCHS = 4
CHOICE, TESTED = 2, 3
MODELS = CHOICE + TESTED

PROGRAM = Path(__file__).parents[1] / "programs" / "final_stage.py"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished search of four trials, two of them proposed, done in this process."""
    config = parse_config(
        {
            **fake_config(tmp_path, trials=4, sampler={"name": "random", "seed": 4}),
            "retrain": {"top_k": 2, "choice_budget": 2, "seeds": 1, "epochs": EPOCHS},
        }
    )
    (tmp_path / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)
    folder = create(tmp_path / "runs" / "fake", config, {})
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config))
    work_off(recorder)
    recorder.event_files.close()
    return folder.root


def kill_in_the_middle(run: Path) -> None:
    """Starts the final stage, and kills its process group when a model is done and another one is under way."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "FAKE_EPOCH_S": "0.5"}
    driver = subprocess.Popen(
        [sys.executable, PROGRAM, str(run)], env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 80
    try:
        while not (list(run.glob("retrain/*/*/*/metrics.json")) and under_way(run)):
            assert time.monotonic() < deadline, "the final stage does not get on"
            assert driver.poll() is None, "the final stage ended by itself"
            time.sleep(0.05)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    wait_until_gone(driver.pid)


def under_way(run: Path) -> list[Path]:
    """State files of models that have epochs and are not done."""
    return [path for path in run.glob("retrain/*/*/*/last.pt") if not path.with_name("metrics.json").exists()]


def test_a_killed_final_stage_goes_on_where_each_model_stood(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_in_the_middle(run)
    done = {
        path: path.with_name("best.safetensors").stat().st_mtime_ns for path in run.glob("retrain/*/*/*/metrics.json")
    }
    assert 0 < len(done) < MODELS
    marked = under_way(run)
    assert marked
    for path in marked:  # nobody can know this number but who goes on from this very file
        history = json.loads(path.read_text())
        history[0]["val/mAP"] = 0.999
        path.write_text(json.dumps(history))

    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)
    monkeypatch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)
    final = FinalWork(fake_run, fake_evaluate, lambda config, console: (config, TrialResources(1, 0, 1)))
    outcome = retrain(run, connect=nullcontext, console=Console(file=io.StringIO()), work=final)
    _, config, _ = open_run(run)
    views = Study(run / "study.journal", "fake", config).views()
    candidates = {candidate.slug: candidate for candidate in select_candidates(config, views)}
    records = {path: json.loads(path.read_text()) for path in run.glob("retrain/*/seed-*/*/metrics.json")}
    assert len(records) == MODELS
    for path, record in records.items():
        slug, seed = path.parts[-4], int(path.parts[-3].removeprefix("seed-"))
        told = [curve(candidates[slug].config, "Fold1", seed, epoch) for epoch in range(1, EPOCHS + 1)]
        resumed = path.with_name("last.pt") in marked
        assert record["validation"]["val/mAP"] == (0.999 if resumed else max(metrics["val/mAP"] for metrics in told))
        assert bool(record["test"]) == (seed in Seeds(0, (0,)).test(1))
        assert not path.with_name("last.pt").exists()
    for path in marked:  # told again from the first epoch, into a file that holds each of them once
        name = f"retrain-{path.parts[-4]}-{path.parts[-2]}-{path.parts[-3]}"
        events = EventAccumulator(str(run / "tensorboard" / name)).Reload()
        assert [event.step for event in events.Scalars("val/mAP")] == list(range(1, EPOCHS + 1))
    opened = (run.parents[1] / "data" / "opened.log").read_text().splitlines()
    assert len(opened) == len(set(opened)) == TESTED + 1
    assert {path: path.with_name("best.safetensors").stat().st_mtime_ns for path in done} == done
    assert [claim.lead.seeds for claim in outcome.comparison.claims] == [(1, 1)] * 8
    (seed,) = Seeds(0, (0,)).choice(1)
    chosen_on = {path.parts[-4]: record for path, record in records.items() if f"seed-{seed}" in path.parts}
    assert len(chosen_on) == CHOICE
    best = max(chosen_on, key=lambda slug: chosen_on[slug]["validation"]["val/mAP"])
    assert outcome.champion == candidates[best].name
