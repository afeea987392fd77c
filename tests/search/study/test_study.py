"""The study: what each end of a trial means to Optuna, and going on without losing or repeating anything."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState

from owkd.config import NO_DISTILLATION, parse_config, with_values
from search.space.parameters import distributions, single
from search.study.study import Study
from search.trials.view import Ending
from tests.support.handed_out import next_proposal

SPACE = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.teacher_weights": {"type": "simplex"},
    "distill.stage_weights": {"type": "simplex"},
}

FOUR_TO_NINE = {"type": "int", "low": 4, "high": 9}


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
    first = next_proposal(study)
    assert (first.number, first.fixed) == (0, "published weights")
    assert first.values["distill.gram"] == 1e-4
    assert first.values["distill.stage_weights"] == "learned"
    assert first.values["distill.teacher_weights"] == {"original": 1.0, "attention": 1.0, "gce": 1.0}
    assert study.view(0).nearest  # learned weights are no point of the simplex
    assert study.view(0).published
    assert frozen(tmp_path)[0].params["distill.gram"] == pytest.approx(1e-4)


def test_trial_1_is_no_distillation_whatever_the_space_is(tmp_path: Path) -> None:
    study = open_study(tmp_path, space={"distill.gram": SPACE["distill.gram"], "train.epochs": FOUR_TO_NINE})
    first, second, third = (next_proposal(study) for _ in range(3))
    assert (second.number, second.fixed, third.fixed) == (1, "no distillation", None)
    trained = single(study.config, second.values)
    assert trained.distill == NO_DISTILLATION
    assert trained.train == single(study.config, first.values).train
    assert second.in_words() == "no distillation: epochs 4"
    assert third.values.keys() == {"distill.gram", "train.epochs"}


def test_samplers_do_not_see_a_trial_that_no_point_of_the_space_is_near(tmp_path: Path) -> None:
    """It is recorded as any other, but has no parameters that a model could take for its own."""
    study = open_study(tmp_path)
    for _ in range(3):
        run_trial(study, [0.5], Ending("complete"))
    told = frozen(tmp_path)
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * 3
    assert (told[1].params, told[1].value) == ({}, 0.5)
    assert [trial.number for trial in study._study.get_trials(deepcopy=False)] == [0, 2]
    assert [view.fixed for view in study.views()] == ["published weights", "no distillation", None]
    space = IntersectionSearchSpace().calculate(study._study)
    assert space.keys() == distributions(study.config.search.space).keys()


@pytest.mark.parametrize("spectrum", [0.0, 1e-4])
def test_samplers_learn_from_no_distillation_where_the_space_can_express_it(tmp_path: Path, spectrum: float) -> None:
    """Where every term that is not searched is off, too."""
    config = config_of(space={"distill.gram": {"type": "float", "low": 0.0, "high": 1e-2}})
    off = {"spectrum": spectrum, "gce_gram": 0.0, "gce_spectrum": 0.0, "logit": 0.0}
    study = Study(tmp_path / "study.journal", "run", with_values(config, {f"distill.{k}": v for k, v in off.items()}))
    for _ in range(2):
        run_trial(study, [0.5], Ending("complete"))
    assert frozen(tmp_path)[1].params == ({} if spectrum else {"distill.gram": 0.0})
    assert len(study._study.get_trials(deepcopy=False)) == (1 if spectrum else 2)


def test_a_study_of_an_earlier_version_keeps_its_trial_1(tmp_path: Path) -> None:
    """Also one that was cut off before it."""
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    )
    old = optuna.create_study(storage=storage, study_name="run", direction="maximize")
    old.set_user_attr("target", 5)
    old.enqueue_trial({"distill.gram": 1e-4})
    study = open_study(tmp_path)
    assert study.fixed == ("published weights",)
    assert [next_proposal(study).fixed for _ in range(3)] == ["published weights", None, None]


def test_a_new_study_that_was_cut_off_between_its_fixed_trials_gets_both(tmp_path: Path) -> None:
    open_study(tmp_path)
    journal = tmp_path / "study.journal"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))  # the last one puts trial 1 into the queue
    study = open_study(tmp_path)
    assert [next_proposal(study).fixed for _ in range(3)] == ["published weights", "no distillation", None]


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
    for number in (1, 2):
        assert study._study.ask().number == number  # killed here: no parameter is drawn yet
    again = open_study(tmp_path)
    assert [next_proposal(again).number for _ in range(3)] == [0, 1, 2]
    assert again.view(1).fixed == "no distillation"
    assert again.view(2).values.keys() == SPACE.keys()
    assert [len(trial.params) for trial in frozen(tmp_path)] == [8, 0, 8]


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
    assert (first.number, first.fixed, study.fixed) == (0, None, ())
    assert first.values["distill.gram"] != config.distill.gram
    assert not study.view(0).published
    again = Study(tmp_path / "study.journal", "run", config, fixed_trials=False)  # after its driver was killed
    assert next_proposal(again) == first
    assert next_proposal(again).fixed is None
