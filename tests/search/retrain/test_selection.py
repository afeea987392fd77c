"""The choice of the champion: round by round, and the same after an interruption anywhere."""

from __future__ import annotations

import io
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from owkd.config import parse_config
from search.execution.resources import TrialResources
from search.luck.seeds import SeedSet
from search.recorder import SearchRecorder
from search.retrain.candidates import matched_baselines, select_candidates
from search.retrain.models import Records, RetrainRecorder, Selection
from search.retrain.stage import FinalWork, Outcome, retrain
from search.runs.layout import RunFolder
from search.runs.manifest import create
from search.study.study import Study
from search.trials.job_queue import JobQueue
from search.trials.view import Ending
from tests.support.fake_training import fake_config, fake_evaluate, fake_run, make_plan
from tests.support.handed_out import next_proposal
from tests.support.inline_jobs import do_job, evaluate_here, work_off

RETRAIN = {"top_k": 4, "choice_budget": 8, "seeds": 2, "epochs": 2}
FIRST, SECOND, TESTED = 4, 2 * 2, 3 * 2
"""models of the rounds, and of the test seeds"""
WORK = FinalWork(fake_run, fake_evaluate, lambda config, console: (config, TrialResources(1, 0, 1)))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished search of six trials; tests take a copy."""
    home = tmp_path_factory.mktemp("searched")
    tree = fake_config(home, trials=6, sampler={"name": "random", "seed": 2})
    config = parse_config({**tree, "retrain": RETRAIN})
    (home / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)
    folder = create(home / "fake", config, {})
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config))
    work_off(recorder)
    recorder.close()
    return folder


@pytest.fixture
def run(searched: RunFolder, tmp_path: Path) -> Path:
    shutil.copytree(searched.root, tmp_path / "fake")
    return tmp_path / "fake"


def queue_of(run: Path) -> RetrainRecorder[Selection]:
    config = parse_config({**fake_config(run.parent), "retrain": RETRAIN})
    views = Study(run / "study.journal", "fake", config).views()
    return RetrainRecorder(
        Selection(config, select_candidates(config, views), Records(RunFolder(run), "val/mAP")), RunFolder(run)
    )


def finish(run: Path, monkeypatch: pytest.MonkeyPatch, jobs: int | None = None) -> Outcome:
    """The final stage in this process, interrupted after so many jobs."""

    def work(queue: JobQueue, **_: object) -> None:
        done = 0
        while (job := queue.next_job()) is not None:
            if done == jobs:
                raise KeyboardInterrupt
            do_job(queue, job)
            done += 1

    monkeypatch.setattr("search.retrain.models.training.run_jobs", work)
    monkeypatch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)
    return retrain(run, connect=nullcontext, console=Console(file=io.StringIO()), work=WORK)


def test_a_round_begins_when_the_one_before_is_over_and_baselines_fill_the_gap(run: Path) -> None:
    queue = queue_of(run)
    first = [queue.next_job() for _ in range(FIRST)]
    seed = queue.selection.choice_seeds[0]
    assert [job.parts for job in first] == [(("Fold1", seed),)] * FIRST
    fillers = [queue.next_job() for _ in range(4)]
    assert {job.key.split("/")[0] for job in fillers} == {"published-weights", "no-distillation"}
    assert queue.next_job() is None  # whoever is in the next round is not known
    for job in first:
        do_job(queue, job)
    second = [queue.next_job() for _ in range(SECOND)]
    best = [job.key.split("/")[0] for job in first[:2]]  # the list of the search is the order of quality here
    assert [job.key.split("/")[0] for job in second] == best * 2
    assert {part.seed for job in second for part in job.parts} == set(queue.selection.choice_seeds[1:])
    assert queue.selection.champion() is None
    for job in (*fillers, *second):
        do_job(queue, job)
    last = [queue.next_job() for _ in range(2)]
    assert {job.key.split("/")[0] for job in last} == {best[0]}
    assert [part.seed for job in last for part in job.parts] == queue.selection.test_seeds
    assert queue.next_job() is None
    queue.close()


def test_a_candidate_that_cannot_be_trained_is_out(run: Path) -> None:
    queue = queue_of(run)
    best = queue.selection.contenders[0]
    make_plan(run.parent, {best.slug: "diverge"})
    work_off(queue)
    queue.close()
    assert queue.selection.champion() is queue.selection.contenders[1]
    assert [model.seed_set for model, _ in queue.records.of(best)] == [SeedSet.CHOICE]
    assert queue.selection.is_over()


def test_interrupted_anywhere_it_comes_to_the_same_champion_and_trains_nothing_twice(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finish(shutil.copytree(run, run.with_name("whole") / "fake"), monkeypatch)
    for jobs in range(FIRST + SECOND + TESTED):
        cut = shutil.copytree(run, run.with_name(f"cut-{jobs}") / "fake")
        with pytest.raises(KeyboardInterrupt):
            finish(cut, monkeypatch, jobs)
        trained = {path: path.stat().st_mtime_ns for path in cut.glob("retrain/*/seed-*/*/best.safetensors")}
        assert len(trained) == jobs
        again = finish(cut, monkeypatch)
        assert (again.champion, again.comparison) == (whole.champion, whole.comparison)
        assert len(list(cut.glob("retrain/*/seed-*/*/best.safetensors"))) == FIRST + SECOND + TESTED
        assert {path: path.stat().st_mtime_ns for path in trained} == trained


def test_a_baseline_with_the_champions_training_differs_from_it_in_distillation_alone(tmp_path: Path) -> None:
    tree = fake_config(tmp_path)
    tree["search"]["space"]["train.learning_rate"] = {"type": "float", "low": 1e-5, "high": 1e-1, "log": True}
    config = parse_config({**tree, "retrain": RETRAIN})
    study = Study(tmp_path / "study.journal", "fake", config)
    for _number in range(3):
        proposal = next_proposal(study)
        study.report(proposal.number, 1, 0.5)
        study.finish(proposal.number, Ending("complete"))
    champion, *baselines = select_candidates(config, study.views())
    matched = matched_baselines(champion, baselines)
    assert [own.name for own in matched] == [
        "published weights, champion's training",
        "no distillation, champion's training",
    ]
    for own, plain in zip(matched, baselines, strict=True):
        assert own.config.distill == plain.config.distill != champion.config.distill
        assert own.config.train == champion.config.train != plain.config.train
        assert own.slug == f"{plain.slug}-as-{champion.slug}"
    assert not matched_baselines(baselines[0], baselines)
