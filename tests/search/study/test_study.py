"""The study: what each end of a trial means to Optuna, and going on without losing or repeating anything."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from owkd.config import parse_config
from search.study.study import Study
from search.trials.view import Ending
from tests.support.handed_out import next_proposal

SPACE = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.teacher_weights": {"type": "simplex"},
    "distill.stage_weights": {"type": "simplex"},
}


def config_of(**search):
    best = [{"reduction": "best"}]
    search = {"trials": 5, "scheduler": {"name": "none"}, "objectives": best, "space": SPACE, **search}
    return parse_config({"data": {"root": "d", "dataset": "s"}, "train": {"epochs": 4}, "search": search})


def open_study(tmp_path: Path, **search) -> Study:
    return Study(tmp_path / "study.journal", "run", config_of(**search))


def frozen(tmp_path: Path) -> list[optuna.trial.FrozenTrial]:
    """What Optuna itself reads from the journal."""
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    )
    return optuna.load_study(study_name="run", storage=storage).trials


def run_trial(study: Study, curve: list[float], ending: Ending) -> int:
    proposal = next_proposal(study)
    study.started(proposal.number)
    for step, value in enumerate(curve, start=1):
        study.report(proposal.number, step, value)
    study.finish(proposal.number, ending)
    return proposal.number


@pytest.mark.parametrize(
    ("ending", "state", "value"),
    [
        (Ending("complete"), TrialState.COMPLETE, 0.7),
        (Ending("pruned"), TrialState.PRUNED, 0.6),
        (Ending("diverged", 4), TrialState.PRUNED, None),
        (Ending("out_of_memory", error_type="OutOfMemoryError", error_text="20 GiB"), TrialState.FAIL, None),
        (Ending("error", error_type="RuntimeError", error_text="a cable"), TrialState.FAIL, None),
    ],
)
def test_each_end_is_told_as_the_table_says(tmp_path: Path, ending: Ending, state: TrialState, value) -> None:
    study = open_study(tmp_path)
    number = run_trial(study, [0.5, 0.7, 0.6], ending)
    told = frozen(tmp_path)[number]
    assert told.state == state
    assert told.value == value
    reported = {step: value for step, value in told.intermediate_values.items() if not math.isnan(value)}
    assert reported == {1: 0.5, 2: 0.7, 3: 0.6}
    assert (ending.state == "diverged") == math.isnan(told.intermediate_values.get(4, 0.0))
    assert told.user_attrs["state"] == ending.state
    assert told.user_attrs.get("error_type") == ending.error_type
    view = study.view(number)
    assert (view.state, view.objective, view.best_step, view.attempt) == (ending.state, 0.7, 2, 1)
    assert view.ended_at is not None
    assert view.started_at is not None
    assert view.started_at <= view.ended_at


def test_the_sampler_goes_on_after_every_end(tmp_path: Path) -> None:
    study = open_study(tmp_path, trials=16, sampler={"name": "tpe", "startup_trials": 3})
    endings = [Ending("complete"), Ending("pruned"), Ending("diverged", 3), Ending("error"), Ending("out_of_memory")]
    for i in range(16):
        assert run_trial(study, [0.1 * i, 0.2], endings[i % 5]) == i
    assert study.next() is None
    assert all(trial.state.is_finished() for trial in frozen(tmp_path))
    proposals = [str(view.values) for view in study.views()]
    assert len(set(proposals)) == 16


def test_a_late_divergence_is_worse_for_tpe_than_an_early_stop(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    run_trial(study, [0.9, 0.9, 0.9], Ending("diverged", 4))
    run_trial(study, [0.1], Ending("pruned"))
    from optuna.samplers._tpe.sampler import _split_trials

    good, bad = _split_trials(study._study, frozen(tmp_path)[:2], n_below=1)
    assert [trial.number for trial in good] == [1]
    assert [trial.number for trial in bad] == [0]


def test_trial_0_is_the_published_setting(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    first, second = next_proposal(study), next_proposal(study)
    assert (first.number, first.published, second.published) == (0, True, False)
    assert first.values["distill.gram"] == 1e-4
    assert first.values["distill.stage_weights"] == "learned"
    assert first.values["distill.teacher_weights"] == {"original": 1.0, "attention": 1.0, "gce": 1.0}
    assert study.view(0).nearest  # learned weights are no point of the simplex
    assert frozen(tmp_path)[0].params["distill.gram"] == pytest.approx(1e-4)


def test_interrupted_trials_are_handed_out_again_first_under_their_own_numbers(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    given = [study.next() for _ in range(3)]
    study.started(0)
    study.report(0, 1, 0.5)
    study.finish(0, Ending("complete"))
    study.started(1)
    study.report(1, 1, 0.4)

    again = open_study(tmp_path)
    assert again.has_work()
    assert [again.next(), again.next()] == given[1:]
    again.started(1)
    assert again.view(1).attempt == 2
    assert again.view(1).curve == {1: 0.4}
    assert next_proposal(again).number == 3


def test_a_proposal_cut_off_in_the_middle_is_completed(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    study.next()
    trial = study._study.ask()  # killed here: no parameter is drawn yet
    assert trial.number == 1
    again = open_study(tmp_path)
    assert [next_proposal(again).number for _ in range(2)] == [0, 1]
    assert again.view(1).values.keys() == SPACE.keys()
    assert len(frozen(tmp_path)[1].params) == 8


def test_a_kill_between_the_last_word_and_the_end_counts_as_interrupted(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    study.next()
    study.started(0)
    study._set(0, "state", "complete")
    again = open_study(tmp_path)
    assert again.view(0).state == "running"
    assert again.view(0).ended_at is None
    assert next_proposal(again).number == 0


def test_an_epoch_told_again_changes_nothing(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    study.next()
    study.started(0)
    assert study.report(0, 1, 0.5)
    assert not study.report(0, 1, 0.9)
    assert study.view(0).curve == {1: 0.5}


def test_proposals_hang_on_the_history_alone(tmp_path: Path) -> None:
    """The same history, opened once or before each proposal, gives the same trials."""
    paths = [tmp_path / "once", tmp_path / "often"]
    for path in paths:
        path.mkdir()
    search = {"trials": 9, "sampler": {"name": "tpe", "seed": 3, "startup_trials": 4}}
    once = open_study(paths[0], **search)
    for i in range(9):
        often = open_study(paths[1], **search)
        for study in (once, often):
            run_trial(study, [math.sin(i), math.cos(i)], Ending("complete"))
    values = [[view.values for view in open_study(path, **search).views()] for path in paths]
    assert values[0] == values[1]
    assert len({str(value) for value in values[0]}) == 9


def test_seeds_give_different_proposals(tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        study = open_study(tmp_path / str(seed), sampler={"name": "random", "seed": seed})
        study.next()
        found.append(next_proposal(study).values)
    assert found[0] != found[1]


def test_more_trials_can_be_asked_for_and_are_remembered(tmp_path: Path) -> None:
    study = open_study(tmp_path, trials=1)
    run_trial(study, [0.5], Ending("complete"))
    assert study.next() is None
    study.add_trials(2)
    again = open_study(tmp_path, trials=1)
    assert again.num_trials == 3
    assert [next_proposal(again).number for _ in range(2)] == [1, 2]
    assert again.next() is None


def test_a_trial_that_said_nothing_can_fail(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    run_trial(study, [], Ending("error", error_type="WorkerDied", error_text="gone"))
    assert (study.view(0).objective, study.view(0).best_step, study.view(0).last_step) == (None, None, 0)


def test_a_study_without_fixed_trials_begins_with_what_its_sampler_proposes(tmp_path: Path) -> None:
    config = config_of(sampler={"name": "random", "seed": 3})
    study = Study(tmp_path / "study.journal", "run", config, fixed_trials=False)
    first = next_proposal(study)
    assert (first.number, first.published, list(study.fixed)) == (0, False, [])
    assert first.values["distill.gram"] != config.distill.gram
    assert not study.view(0).published
    again = Study(tmp_path / "study.journal", "run", config, fixed_trials=False)  # after its driver was killed
    assert next_proposal(again) == first
    assert not next_proposal(again).published
