"""A control's trials: as many epochs as the search's, drawn at random, on its seeds, and the same after any kill."""

from __future__ import annotations

import io
import shutil
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from owkd.config import Config, parse_config, with_values
from owkd.errors import UserError
from search.execution.resources import TrialResources
from search.luck.seeds import Seeds
from search.recorder import SearchRecorder
from search.results.listing import list_trials
from search.results.tables import read_epochs
from search.retrain.control.random_search import ControlSearch, control_config, epochs_spent
from search.run_search import Work, run_trials
from search.runs.layout import RunFolder
from search.runs.manifest import create, open_run
from search.study.study import Study
from tests.support.fake_training import fake_check, fake_config, fake_run, make_plan
from tests.support.inline_jobs import work_side_by_side

ASHA = {"name": "asha", "grace_epochs": 1, "reduction_factor": 2}
EVERY = {"name": "none"}
LONGEST = 4
WORK = Work(fake_run, fake_check)


def quiet() -> Console:
    return Console(file=io.StringIO())


def search_in(home: Path, scheduler: dict, trials: int = 7) -> RunFolder:
    """A finished search, one trial at a time, in this process."""
    sampler = {"name": "tpe", "seed": 0, "startup_trials": 3}
    config = parse_config(fake_config(home, trials=trials, sampler=sampler, scheduler=scheduler, seeds=[5]))
    folder = create(home / "fake", config, fake_check(config))
    recorder = SearchRecorder(folder, config, Study(folder.journal, "fake", config))
    run_trials(recorder, TrialResources(1, 0, 1), None, title="search", console=quiet(), work=WORK)
    return folder


def control_of(folder: RunFolder, config: Config | None = None) -> ControlSearch:
    """As a new driver finds it."""
    _, stored, manifest = open_run(folder.root)
    study = Study(folder.journal, "fake", stored)
    return ControlSearch.beside(folder, config or stored, manifest["fingerprints"], study)


def carry_out(control: ControlSearch, slots: int = 1) -> None:
    control.carry_out(TrialResources(1, 0, slots), None, console=quiet(), work=WORK)


def values_by_number(control: ControlSearch) -> dict[int, dict]:
    return {view.number: view.values for view in control.trials()}


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.run_search.run_jobs", work_side_by_side)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("scheduler", [ASHA, EVERY], ids=["asha", "none"])
def test_it_takes_as_many_epochs_as_the_searchs_trials_and_at_most_a_trial_more(
    tmp_path: Path, scheduler: dict, slots: int
) -> None:
    folder = search_in(tmp_path, scheduler)
    control = control_of(folder)
    searched = read_epochs(folder.results).to_pylist()
    assert control.allowance == len([row for row in searched if row["trial"] > 1])
    assert control.has_work()
    carry_out(control, slots)
    spent = read_epochs(folder.control.results).to_pylist()
    assert control.allowance <= len(spent) < control.allowance + LONGEST
    assert epochs_spent(control.trials()) == len(spent)
    assert not control.has_work()
    assert not control_of(folder).has_work()
    assert {row["state"] for row in list_trials(folder.control.root).to_pylist()} <= {"complete", "pruned"}


def test_its_trials_are_random_ones_of_the_searchs_space_on_the_searchs_seeds(tmp_path: Path) -> None:
    folder = search_in(tmp_path, EVERY)
    control = control_of(folder)
    carry_out(control)
    _, config, manifest = open_run(folder.control.root)
    assert (config.search.sampler.name, manifest["within"]) == ("random", "fake")
    assert config.search.space == control.config.search.space
    assert config.search.scheduler == control.config.search.scheduler
    study = Study(folder.journal, "fake", control.config)
    grams = [view.values["distill.gram"] for view in control.trials()]
    assert not {view.values["distill.gram"] for view in study.views()} & set(grams)
    assert len(set(grams)) == len(grams) == 5
    assert all(2e-5 <= gram <= 9e-4 for gram in grams)
    assert not any(view.fixed for view in control.trials())
    seeds = {row["seed"] for row in read_epochs(folder.control.results).to_pylist()}
    assert seeds == {5}
    assert not seeds & {*Seeds.of(config).choice(50), *Seeds.of(config).test(50)}


def test_no_trial_of_it_is_spared_by_the_scheduler(tmp_path: Path) -> None:
    """The published setting is not among them: its first trial is stopped like any other."""
    folder = search_in(tmp_path, ASHA)
    make_plan(tmp_path, {"trial-00000": "bad"})
    carry_out(control_of(folder), slots=3)
    first = control_of(folder).trials()[0]
    assert (first.number, first.state) == (0, "pruned")


@pytest.mark.parametrize("slots", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_interrupted_anywhere_it_ends_with_the_trials_that_it_would_have_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    folder = search_in(tmp_path, EVERY, trials=5)
    whole = RunFolder(shutil.copytree(folder.root, tmp_path / "whole" / "fake"))
    carry_out(control_of(whole), slots)
    expected = values_by_number(control_of(whole))
    assert len(expected) == 3
    for epochs in range(3 * LONGEST):
        cut = RunFolder(shutil.copytree(folder.root, tmp_path / f"cut-{epochs}" / "fake"))
        with monkeypatch.context() as patch:
            patch.setattr("search.run_search.run_jobs", partial(work_side_by_side, epochs=epochs))
            with pytest.raises(KeyboardInterrupt):
                carry_out(control_of(cut), slots)
        again = control_of(cut)
        assert again.has_work()
        carry_out(again, slots)
        assert values_by_number(control_of(cut)) == expected
        rows = read_epochs(cut.control.results).to_pylist()
        assert sorted((row["trial"], row["epoch"]) for row in rows) == [
            (trial, epoch) for trial in expected for epoch in range(1, LONGEST + 1)
        ]


def test_it_goes_on_when_the_search_was_extended(tmp_path: Path) -> None:
    folder = search_in(tmp_path, EVERY, trials=4)
    carry_out(control_of(folder))
    first = values_by_number(control_of(folder))
    config = control_of(folder).config
    study = Study(folder.journal, "fake", config)
    study.add_trials(2)
    run_trials(
        SearchRecorder(folder, config, study), TrialResources(1, 0, 1), None, title="", console=quiet(), work=WORK
    )
    later = control_of(folder)
    assert later.has_work()
    carry_out(later)
    values = values_by_number(later)
    assert (len(first), len(values)) == (2, 4)
    assert {number: values[number] for number in first} == first


def test_trials_that_fail_before_their_first_epoch_do_not_make_it_endless(tmp_path: Path) -> None:
    folder = search_in(tmp_path, EVERY, trials=4)
    make_plan(tmp_path, {f"trial-{number:05d}": "refuse" for number in range(1, 50)})
    carry_out(control_of(folder))
    states = [view.state for view in control_of(folder).trials()]
    assert states == ["complete", *["error"] * LONGEST]


def test_a_control_that_began_with_another_space_is_refused(tmp_path: Path) -> None:
    folder = search_in(tmp_path, EVERY, trials=3)
    carry_out(control_of(folder))
    config = control_of(folder).config
    space = {**config.to_dict()["search"]["space"]}
    space["distill.gram"] = {**space["distill.gram"], "high": 1e-3}
    other = with_values(config, {"search.space": space})
    with pytest.raises(UserError, match=r"searched like its run.*\n.*0\.0009 -> 0\.001\n.* remove that folder"):
        control_of(folder, other).has_work()


def test_its_sampler_has_a_seed_of_its_own(tmp_path: Path) -> None:
    config = parse_config(fake_config(tmp_path))
    seeds = {
        seed: control_config(with_values(config, {"search.sampler.seed": seed})).search.sampler.seed
        for seed in (0, 1, 2**32 - 1)
    }
    assert len({*seeds, *seeds.values()}) == 6
    assert control_config(config) == control_config(config)
