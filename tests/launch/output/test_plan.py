"""`owkd plan`: the page, its numbers for scripts, and every mistake in one go."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import ray
import yaml

from launch.cli import run_command
from search.execution.resources import TrialResources
from search.pilot import PilotWork, run_pilot
from tests.support.fake_training import fake_check, fake_run
from tests.support.inline_jobs import work_off
from tests.support.small_training import small_config

SPACE = {
    "distill.teacher_weights": {"type": "simplex"},
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
}


@pytest.fixture
def config_file(root: Path, tmp_path: Path) -> Path:
    search = {
        "trials": 40,
        "resources": {"cpu": 1, "gpu": 0},
        "scheduler": {"name": "asha", "grace_epochs": 2},
        "space": SPACE,
    }
    config = small_config(root, train={"epochs": 9}, search=search, retrain={"folds": ["Fold1"]})
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**config.to_dict(), "name": "planned"}))
    return path


def test_five_mistakes_are_named_in_one_go(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = yaml.safe_load(config_file.read_text())
    tree["search"]["space"]["distill.gramm"] = tree["search"]["space"].pop("distill.gram")
    tree["train"]["batch_size"] = "many"
    tree["data"]["root"] = str(tmp_path / "nowhere")
    tree["teacher"]["checkpoint"] = str(tmp_path / "lost-{fold}.safetensors")
    tree["search"]["scheduler"]["grace_epochs"] = 10
    config_file.write_text(yaml.safe_dump(tree))
    assert run_command(["plan", str(config_file), "--runs", str(tmp_path / "runs")]) == 2
    printed = capsys.readouterr().err
    lines = [line for line in printed.splitlines() if line.startswith("  - ")]
    assert printed.startswith(f"owkd: 5 mistakes in {config_file}:")
    assert len(lines) == 5
    for words in (
        "train.batch_size: Input should be a valid integer",
        "search.space.distill.gramm: names no field of the configuration; did you mean 'distill.gram'?",
        "search.scheduler.grace_epochs must be at most train.epochs, but got 10 and 9",
        f"data.root must be a folder, but got {tmp_path}/nowhere",
        f"no such checkpoint: {tmp_path}/lost-Fold1.safetensors",
    ):
        assert sum(words in line for line in lines) == 1, words


def test_the_page_says_what_a_search_would_do(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = run_command(["plan", str(config_file), "--runs", "runs", "--set", "search.trials=50"])
    page = capsys.readouterr().out
    assert code == 0
    assert all(len(line) <= 80 for line in page.splitlines())
    assert "…" not in page
    text = " ".join(page.split())
    for words in (
        "planned: no mistake found, nothing started",
        "50 trials x 1 part (Fold1; seed 0) x 9 epochs = 450 epochs; trials 0 and 1 are published weights and no "
        "distillation",
        "max val/mAP (mean of the last 3 epochs; the last one's model is kept)",
        "gp: 3 random trials first",
        "asha: after 2 epochs, and each 3 times as many, the best 1 in 3",
        "choice among the 3 best trials, and likewise among the control's: 3 with 2 fresh seeds, then 2 with 2 fresh "
        "seeds; champion + the control's best + 2 baselines with 11 test seeds; 64 models on 1 fold x 9 epochs = 576 "
        "epochs",
        "control on: its random trials take about ",
        " epochs, no more than the 387 of the rest of the final stage",
        "control, its random trials: ",
        "11 test seeds show a lead of 2.0 points of test mAP with 80 %; as many as 2.0 points take;",
        "at a time, each with 1 CPU",
        "ms (median of 5), validation",
        "before the first trial, the teacher's targets once: ",
        "(450 epochs)",
        "search, with asha about: ",
        "CPU-hours",
        "at most",
        "are free",
        "decoded images ",
        ", teacher's targets ",
        "3 weights, sum 3",
        "Three draws from it",
        "teacher_weights ",
    ):
        assert words in text, words
    assert not (tmp_path / "runs").exists()


def test_without_a_control_it_is_said_what_nobody_can_say(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", str(config_file), "--no-measure", "--runs", str(tmp_path), "--set", "retrain.control=off"]
    assert run_command(arguments) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "control off: retrain.control is off; its random trials would take about " in text
    assert "nobody will be able to say whether the sampler did better than random trials of the same cost" in text
    assert "champion + 2 baselines with 11 test seeds; 43 models on 1 fold x 9 epochs = 387 epochs" in text


def test_a_plan_for_scripts(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("a plan starts nothing"))
    assert run_command(["plan", str(config_file), "--no-measure", "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["run"], plan["trials"], plan["epochs"]["search"]) == ("runs/planned", 40, 360)
    assert plan["hours"] == {"search": None, "expected": None, "retrain": None, "control": None}
    assert plan["control"]["is_on"]
    assert 80 <= plan["epochs"]["expected"] < 360
    assert plan["bytes"]["run"] == plan["bytes"]["checkpoints"] + plan["bytes"]["tables"]
    assert len(plan["draws"]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["plan.yaml"]


def test_a_pilot_is_trained_first_and_its_spread_is_used_from_then_on(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = PilotWork(fake_run, fake_check, lambda config, console: (config, TrialResources(1, 0, 1)))
    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)
    monkeypatch.setattr("launch.library.connection", lambda address: nullcontext)
    monkeypatch.setattr("search.pilot.run_pilot", partial(run_pilot, work=work))
    monkeypatch.chdir(tmp_path)
    plain = ["plan", "plan.yaml", "--no-measure"]
    assert run_command([*plain, "--pilot", "--seeds", "5"]) == 0
    captured = capsys.readouterr()
    assert "pilot at runs/planned-pilot: 10 models on Fold1" in captured.err
    pilot = json.loads((tmp_path / "runs/planned-pilot/pilot.json").read_text())
    del pilot["crc32"]  # of the file alone
    page = " ".join(captured.out.split())
    for words in (
        f"points is from the pilot runs/planned-pilot of {pilot['ended_at'][:10]}",
        "pilot runs/planned-pilot, Fold1: 5 of published weights and 5 of no distillation;",
        f"to use it, put into the configuration: retrain.spread: {pilot['spread']['value']:.3g}",
    ):
        assert words in page, words
    assert run_command([*plain, "--format", "json"]) == 0  # found again
    power = json.loads(capsys.readouterr().out)["power"]
    assert (power["spread_from"], power["spread"]) == ("pilot", pilot["spread"]["value"])
    assert power["pilot"] == pilot
    assert run_command([*plain, "--format", "json", "--set", "retrain.spread=0.03"]) == 0
    assert json.loads(capsys.readouterr().out)["power"]["spread_from"] == "configuration"
    assert run_command([*plain, "--set", "train.epochs=8"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "planned-pilot was of another configuration, so its spread is not used" in page
    assert "is the default, not measured" in page
    assert run_command([*plain, "--pilot", "--set", "train.batch_size=many"]) == 2
