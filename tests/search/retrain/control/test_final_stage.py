"""A final stage with a control, and with baselines that train as the champion does."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from rich.console import Console

from owkd.config import parse_config
from search.execution.resources import TrialResources
from search.recorder import SearchRecorder
from search.results.listing import list_trials
from search.results.tables import read_epochs
from search.retrain.stage import FinalWork, Outcome, retrain
from search.run_search import Work, run_trials
from search.runs.layout import RunFolder
from search.runs.manifest import create
from search.study.study import Study
from search.trials.job_queue import JobQueue
from tests.support.fake_training import fake_check, fake_config, fake_evaluate, fake_run
from tests.support.inline_jobs import do_job, evaluate_here, work_off, work_side_by_side

ONE = TrialResources(1, 0, 1)
WORK = FinalWork(fake_run, fake_evaluate, lambda config, console: (config, ONE))
RETRAIN = {"top_k": 2, "choice_budget": 2, "seeds": 3, "control": True, "epochs": 3}
CHOICE = 2
SEARCH = {"trials": 6, "sampler": {"name": "tpe", "seed": 0, "startup_trials": 3}}
UNCLAIMED = "It cannot say whether the sampler did better than random trials of the same cost: "


def search_in(home: Path, retrain: dict[str, Any] | None = None, space: dict[str, Any] | None = None) -> RunFolder:
    """A finished search, in this process."""
    tree = fake_config(home, **SEARCH)
    tree["search"]["space"] |= space or {}
    config = parse_config({**tree, "retrain": {**RETRAIN, **(retrain or {})}})
    (home / "data" / "toy" / "Fold1" / "test").mkdir(parents=True, exist_ok=True)
    folder = create(home / "fake", config, fake_check(config))
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config))
    work = Work(fake_run, fake_check)
    run_trials(recorder, ONE, None, title="search", console=Console(file=io.StringIO()), work=work)
    return folder


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.run_search.run_jobs", work_side_by_side)
    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)
    monkeypatch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)


def finish(folder: RunFolder) -> tuple[Outcome, str]:
    """The final stage, and what it printed."""
    out = io.StringIO()
    return retrain(folder.root, connect=nullcontext, console=Console(file=out, width=500), work=WORK), out.getvalue()


def models(folder: RunFolder) -> list[dict[str, Any]]:
    relation = duckdb.sql(f"SELECT * FROM '{folder.results}/retrain/models.parquet'")
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def set_control(folder: RunFolder, wish: bool) -> None:
    manifest = yaml.safe_load(folder.manifest.read_text())
    manifest["config"]["retrain"]["control"] = wish
    folder.manifest.write_text(yaml.safe_dump(manifest))


def test_the_best_of_the_control_is_chosen_and_tested_like_the_champion(tmp_path: Path) -> None:
    folder = search_in(tmp_path)
    outcome, printed = finish(folder)
    assert "random trials for 16 epochs, as many as the search's took" in printed
    rows = [row for row in models(folder) if row["role"] != "teacher"]
    by_role = {role: {row["configuration"] for row in rows if row["role"] == role} for role in ("candidate", "control")}
    assert {role: len(names) for role, names in by_role.items()} == {"candidate": 2, "control": 2}
    seeds = {
        (role, name): [row["seed"] for row in rows if row["role"] == role and row["seed_set"] == name]
        for role in by_role
        for name in ("choice", "test")
    }
    assert {where: len(own) for where, own in seeds.items()} == {
        (role, name): number for role in by_role for name, number in (("choice", CHOICE), ("test", 3))
    }
    assert sorted(seeds["control", "choice"]) == sorted(seeds["candidate", "choice"])
    assert sorted(seeds["control", "test"]) == sorted(seeds["candidate", "test"])
    searched = {row["seed"] for row in read_epochs(folder.control.results).to_pylist()}
    assert not searched & {row["seed"] for row in rows}
    best = max(
        (row for row in rows if row["role"] == "control" and row["seed_set"] == "choice"),
        key=lambda row: row["val/mAP"],
    )
    (tested,) = {row["configuration"] for row in rows if row["role"] == "control" and row["seed_set"] == "test"}
    assert tested == best["configuration"]
    found = outcome.comparison.row("control")
    assert found is not None
    assert (found.detail, found.models) == (tested, 3)
    assert [claim.comparison.other for claim in outcome.comparison.claims if claim.kind == "split"] == [
        "published weights",
        "no distillation",
        "control",
    ] * 2
    (said,) = outcome.comparison.design
    assert said == (
        "By its design this run can say how the champion stands to the published weights, training without "
        "distillation and the best of random trials of the same cost."
    )


def test_the_control_is_a_run_that_can_be_looked_at_and_a_done_stage_does_nothing_again(tmp_path: Path) -> None:
    folder = search_in(tmp_path)
    outcome, _ = finish(folder)
    assert {row["state"] for row in list_trials(folder.control.root).to_pylist()} == {"complete"}
    before = {path: path.stat().st_mtime_ns for path in folder.control.root.rglob("*.parquet")}

    def no_ray() -> Any:
        raise AssertionError("a stage that is done needs no Ray")

    again = retrain(folder.root, connect=no_ray, console=Console(file=io.StringIO()), work=WORK)
    assert again.comparison == outcome.comparison
    assert {path: path.stat().st_mtime_ns for path in folder.control.root.rglob("*.parquet")} == before


@pytest.mark.slow
def test_interrupted_anywhere_a_stage_with_a_control_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = search_in(tmp_path, {"seeds": 2})
    whole, _ = finish(RunFolder(shutil.copytree(folder.root, tmp_path / "whole" / "fake")))

    def cut_after(jobs: int, queue: JobQueue, **_: object) -> None:
        for _number in range(jobs):
            job = queue.next_job()
            assert job is not None
            do_job(queue, job)
        raise KeyboardInterrupt

    for epochs in (0, 1, 5, 11):
        cut = RunFolder(shutil.copytree(folder.root, tmp_path / f"control-{epochs}" / "fake"))
        with monkeypatch.context() as patch:
            patch.setattr("search.run_search.run_jobs", partial(work_side_by_side, epochs=epochs))
            with pytest.raises(KeyboardInterrupt):
                finish(cut)
        assert not (cut.root / "retrain").exists()
        again, _ = finish(cut)
        assert (again.champion, again.comparison) == (whole.champion, whole.comparison)
    for jobs in (0, 3, 5):
        cut = RunFolder(shutil.copytree(folder.root, tmp_path / f"models-{jobs}" / "fake"))
        with monkeypatch.context() as patch:
            patch.setattr("search.retrain.models.training.run_jobs", partial(cut_after, jobs))
            with pytest.raises(KeyboardInterrupt):
                finish(cut)
        again, _ = finish(cut)
        assert (again.champion, again.comparison) == (whole.champion, whole.comparison)
        assert len(models(cut)) == len(models(folder=RunFolder(tmp_path / "whole" / "fake")))


def test_without_a_control_the_result_says_what_it_cannot_say(tmp_path: Path) -> None:
    folder = search_in(tmp_path, {"control": "off"})
    outcome, _ = finish(folder)
    assert not folder.control.root.exists()
    assert not [row for row in models(folder) if row["role"] == "control"]
    allowed, refused = outcome.comparison.design
    assert allowed.endswith("stands to the published weights and training without distillation.")
    assert refused.startswith(f"{UNCLAIMED}retrain.control is off")
    metrics = json.loads((folder.champion / "metrics.json").read_text())
    assert metrics["comparison"]["design"] == list(outcome.comparison.design)


def test_a_control_can_be_added_to_a_stage_that_is_done(tmp_path: Path) -> None:
    folder = search_in(tmp_path, {"control": "off"})
    before, _ = finish(folder)
    trained = {path: path.stat().st_mtime_ns for path in folder.root.glob("retrain/*/seed-*/*/best.safetensors")}
    set_control(folder, True)
    after, _ = finish(folder)
    assert after.champion == before.champion
    assert after.comparison.row("control") is not None
    (said,) = set(after.comparison.notes) - set(before.comparison.notes)
    assert said.startswith("The control was added after the test split had been opened.")
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    set_control(folder, False)
    again, _ = finish(folder)
    assert again.comparison == before.comparison


TRAINING = {"train.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}}


def test_baselines_are_trained_as_the_champion_too_where_training_was_searched(tmp_path: Path) -> None:
    folder = search_in(tmp_path, {"control": "off"}, TRAINING)
    outcome, _ = finish(folder)
    config = parse_config(yaml.safe_load((folder.champion / "config.yaml").read_text()))
    plain = parse_config(yaml.safe_load(folder.manifest.read_text())["config"])
    assert config.train.learning_rate != plain.train.learning_rate
    names = [claim.comparison.other for claim in outcome.comparison.claims if claim.kind == "split"]
    order = ["published weights", "no distillation"]
    assert names == [*order, *(f"{name}, champion's training" for name in order)] * 2
    rows = models(folder)
    test_seeds = {row["seed"] for row in rows if row["seed_set"] == "test" and row["champion"]}
    for name in order:
        own = [row for row in rows if row["configuration"] == f"{name}, champion's training"]
        assert {row["seed"] for row in own} == test_seeds
        assert {(row["role"], row["seed_set"]) for row in own} == {("baseline", "test")}
        (folders,) = {Path(row["checkpoint"]).parts[1] for row in own}
        slug = f"trial-{int(outcome.champion.removeprefix('trial ')):05d}"
        assert folders == f"{name.replace(' ', '-')}-as-{slug}"
    assert "the published weights with the champion's training" in outcome.comparison.design[0]


def test_no_baseline_is_trained_twice_where_only_distillation_was_searched(tmp_path: Path) -> None:
    folder = search_in(tmp_path, {"control": "off"})
    finish(folder)
    assert {row["configuration"] for row in models(folder) if row["role"] == "baseline"} == {
        "published weights",
        "no distillation",
    }
