"""Several objectives and constraints, against Optuna itself: what is told, what samplers do with it, what is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import TrialState

from owkd.config import parse_config
from search.recorder import SearchRecorder
from search.results.listing import list_trials
from search.runs.manifest import create
from search.study.study import Study
from search.trials.objective import Score
from search.trials.states import State
from search.trials.view import Ending
from tests.support.fake_training import Epoch, curve, fake_config
from tests.support.handed_out import next_job, next_proposal
from tests.support.inline_jobs import do_job

SPACE = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "train.weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
}
GOALS = [{"metric": "val/mAP", "reduction": "best"}, {"metric": "latency_ms"}]


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)


def config_of(**search):
    search = {"trials": 30, "scheduler": {"name": "none"}, "space": SPACE, "objectives": GOALS, **search}
    return parse_config({"data": {"root": "d", "dataset": "s"}, "train": {"epochs": 4}, "search": search})


def open_study(tmp_path: Path, **search) -> Study:
    return Study(tmp_path / "study.journal", "run", config_of(**search))


def run_trial(study: Study, map_: float, latency: float, state: State = "complete", steps: int = 4) -> int:
    proposal = next_proposal(study)
    study.started(proposal.number)
    for step in range(1, steps + 1):
        score = Score(map_, {"val/mAP": map_, "latency_ms": latency}, step)
        study.report(proposal.number, step, map_, score=score)
    study.finish(proposal.number, Ending(state, steps + 1))
    return proposal.number


def frozen(study: Study) -> list[optuna.trial.FrozenTrial]:
    return study._frozen()


def test_every_objective_is_told_with_its_direction(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    run_trial(study, 0.5, 7.0)
    assert [direction.name for direction in study._study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert frozen(study)[0].values == [0.5, 7.0]
    view = study.view(0)
    assert (view.objective, view.objectives, view.feasible) == (0.5, {"val/mAP": 0.5, "latency_ms": 7.0}, True)
    assert [trial.number for trial in study._study.best_trials] == [0]


@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "tpe", "startup_trials": 3},
        {"name": "gp", "startup_trials": 3},
        {"name": "nsga2", "population": 3},
        {"name": "random"},
    ],
    ids=lambda sampler: sampler["name"],
)
def test_samplers_go_on_after_every_end_with_several_objectives(tmp_path: Path, sampler: dict[str, Any]) -> None:
    """TPE of Optuna asks pruned trials for a single direction, and raises, unless they are infeasible."""
    study = open_study(
        tmp_path,
        sampler=sampler,
        constraints=["latency_ms <= 8"],
    )
    states: tuple[State, ...] = ("complete", "pruned", "complete", "diverged", "error", "out_of_memory")
    for i in range(12):
        assert run_trial(study, 0.1 + 0.01 * i, 9.0 - i, states[i % 6], steps=1 + i % 3) == i
    assert all(trial.state.is_finished() for trial in frozen(study))
    assert len({str(view.values) for view in study.views()}) == 12


def test_a_pruned_trial_is_worse_than_complete_ones_and_better_than_broken_ones_for_tpe(tmp_path: Path) -> None:
    study = open_study(tmp_path, constraints=["latency_ms <= 8"])
    broken = run_trial(study, 0.9, 8.5)
    early = run_trial(study, 0.9, 5.0, "pruned", steps=1)
    late = run_trial(study, 0.2, 5.0, "pruned", steps=3)
    diverged = run_trial(study, 0.9, 5.0, "diverged")
    complete = run_trial(study, 0.1, 7.0)
    best_first = [
        {trial.number for trial in _split_trials(study._study, frozen(study), n_below=count)[0]}
        for count in range(1, 6)
    ]
    assert best_first == [
        {complete},
        {complete, late},
        {complete, late, early},
        {complete, late, early, broken},
        {complete, late, early, broken, diverged},
    ]
    assert [study.view(number).feasible for number in (broken, early, late, complete)] == [False, True, True, True]
    assert frozen(study)[late].state == TrialState.PRUNED
    assert frozen(study)[late].intermediate_values == {1: 0.2, 2: 0.2, 3: 0.2}


def test_what_breaks_a_constraint_is_told_so_and_can_be_best_no_more(tmp_path: Path) -> None:
    study = open_study(tmp_path, objectives=GOALS[:1], constraints=["latency_ms <= 5", "val/mAP >= 0.3"])
    fast = run_trial(study, 0.5, 4.0)
    slow = run_trial(study, 0.9, 6.5)
    poor = run_trial(study, 0.2, 1.0)
    told = {trial.number: trial.constraints for trial in frozen(study) if trial.state.is_finished()}
    assert told[slow] == pytest.approx({"latency_ms <= 5": 1.5, "val/mAP >= 0.3": -0.6})
    assert told[poor] == pytest.approx({"latency_ms <= 5": -4.0, "val/mAP >= 0.3": 0.1})
    assert [study.view(number).feasible for number in (fast, slow, poor)] == [True, False, False]
    assert study._study.best_trial.number == fast


def test_a_kill_between_a_constraint_and_the_end_does_no_harm(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    study = open_study(tmp_path, constraints=["latency_ms <= 5"])
    next_proposal(study)
    study.report(0, 1, 0.5, score=Score(0.5, {"val/mAP": 0.5, "latency_ms": 6.0}, 1))
    study._constrain(0, {"latency_ms <= 5": 1.0})
    again = open_study(tmp_path, constraints=["latency_ms <= 5"])
    assert next_proposal(again).number == 0
    again.finish(0, Ending("complete"))
    assert frozen(again)[0].constraints == {"latency_ms <= 5": 1.0}
    assert not recwarn.list


def open_recorder(tmp_path: Path, **search) -> SearchRecorder:
    config = parse_config(fake_config(tmp_path, objectives=GOALS, **search))
    folder = create(tmp_path / "fake", config, {})
    return SearchRecorder(folder, config, Study(folder.journal, "fake", config))


def drive(recorder: SearchRecorder, latencies: list[float], maps: list[float]) -> None:
    for latency, value in zip(latencies, maps, strict=True):
        job = next_job(recorder)

        def train(config, report: Any = None, *, fold, directory, seed=None, latency=latency, value=value) -> Any:
            for epoch in range(1, config.train.epochs + 1):
                metrics = curve(config, fold, seed, epoch) | {"val/mAP": value * epoch / 4, "latency_ms": latency}
                report(Epoch(fold, seed, epoch, metrics, replayed=False))

        do_job(recorder, job, train)


def test_the_pareto_front_is_marked_and_comes_first(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path, constraints=["latency_ms <= 8"])
    drive(recorder, latencies=[9.0, 6.0, 5.0, 2.0, 2.0], maps=[0.9, 0.5, 0.6, 0.3, 0.4])
    best = recorder.best()
    assert best is not None
    assert best.number == 2
    rows = list_trials(recorder.folder.root).to_pylist()
    assert [row["trial"] for row in rows] == [2, 4, 1, 3, 0]
    assert [row["pareto"] for row in rows] == [True, True, False, False, False]
    assert [row["feasible"] for row in rows] == [True, True, True, True, False]
    assert [row["metric.latency_ms"] for row in rows] == [5.0, 2.0, 6.0, 2.0, 9.0]
    assert [row["metric.val/mAP"] for row in rows] == pytest.approx([0.6, 0.4, 0.5, 0.3, 0.9])


def test_a_metric_that_is_not_finite_ends_the_trial_as_diverged_within_one_epoch(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    drive(recorder, latencies=[3.0, 3.0], maps=[float("nan"), 0.5])
    first, second = recorder.study.view(0), recorder.study.view(1)
    assert (first.state, first.error_type, first.last_step) == ("diverged", "DivergedError", 0)
    assert first.error_text is not None
    assert "val/mAP must be finite, but is not in epoch 1" in first.error_text
    assert second.state == "complete"
