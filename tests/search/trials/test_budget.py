"""How much a configuration asks for, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from owkd.config import Config, parse_config
from search.retrain.candidates import select_candidates
from search.retrain.models import Records, Selection
from search.runs.layout import RunFolder
from search.space.parameters import single
from search.trials.budget import Budget

OTHER = {"distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}}
SWITCH = {"type": "categorical", "choices": ["tiny", "micro"]}


def config_of(space: dict[str, Any] | None = None, **sections: Any) -> Config:
    search = {"trials": 7, "space": space or OTHER, "scheduler": {"grace_epochs": 1}}
    tree = {
        "data": {"root": "d", "dataset": "s", "folds": ["A", "B"]},
        "teacher": {"checkpoint": "{fold}"},
        "train": {"epochs": 12},
        **sections,
    }
    return parse_config({**tree, "search": {**search, **sections.get("search", {})}})


@pytest.mark.parametrize(
    ("entry", "most"),
    [
        ({"type": "int", "low": 4, "high": 20}, 20),
        ({"type": "int", "low": 4, "high": 20, "step": 5}, 19),
        ({"type": "int", "low": 4, "high": 2000}, 2000),
        ({"type": "float", "low": 4, "high": 8, "step": 2}, 8),
        ({"type": "categorical", "choices": [8, 30, 5]}, 30),
        ({"type": "categorical", "choices": ["8", "30"]}, 30),
        ({"type": "fixed", "value": 5}, 5),
        ({"type": "fixed", "value": 40}, 40),
    ],
)
def test_the_longest_setting_of_every_kind_of_entry_counts(entry: dict[str, Any], most: int) -> None:
    budget = Budget.of(config_of({"train.epochs": entry}))
    assert (budget.epochs_per_part, budget.trial_steps, budget.search_steps) == (most, 2 * most, 14 * most)
    assert budget.longest_training == max(most, 12)  # baselines train as the configuration says


def test_an_entry_that_may_not_be_searched_leaves_the_configurations_epochs() -> None:
    entry = {"type": "fixed", "value": 5, "when": {"student.preset": "tiny"}}
    assert Budget.of(config_of({"student.preset": SWITCH, "train.epochs": entry})).epochs_per_part == 12


def test_a_section_that_is_searched_as_a_whole_brings_its_epochs() -> None:
    config = config_of({"train": {"type": "categorical", "choices": [{"epochs": 3}, {"batch_size": 4}]}})
    budget = Budget.of(config)
    assert budget.epochs_per_part == 30  # the default, where a choice names none
    for values in ({"train": {"epochs": 3}}, {"train": {"batch_size": 4}}, {}):
        assert budget.epochs(values) == single(config, values).train.epochs


def test_epochs_of_a_setting() -> None:
    budget = Budget.of(config_of({"train.epochs": {"type": "int", "low": 4, "high": 20}}))
    assert budget.epochs({"train.epochs": 7, "distill.gram": 0.1}) == 7
    assert budget.epochs({"distill.gram": 0.1}) == 12


@pytest.mark.parametrize("epochs", [None, 9])
def test_the_final_stage_is_counted_as_it_will_be(epochs: int | None, tmp_path: Path) -> None:
    retrain = {"top_k": 2, "seeds": 3, "folds": ["A", "B", "C"], "epochs": epochs}
    config = config_of({"train.epochs": {"type": "fixed", "value": 20}}, retrain=retrain)
    budget = Budget.of(config)
    selection = Selection(config, select_candidates(config, []), Records(RunFolder(tmp_path), "val/mAP"))
    baselines = selection.models()  # no trial is complete: the published setting is champion without any choice
    assert len(baselines) == selection.most_models == 18
    assert (budget.matched_baselines, budget.test_models) == ((0, 3 * 9) if epochs else (2, 5 * 9))
    assert budget.choice_models == 2 * 2 * 3  # two candidates with two seeds on each fold
    assert budget.final_models == 12 + budget.test_models
    assert (budget.control_models, budget.control_epochs) == (12 + 9, (12 + 9) * (epochs or 20))
    assert budget.final_folds == ("A", "B", "C")
    assert {model.candidate.config.train.epochs for model in baselines} == {budget.baseline_epochs}
    assert budget.final_epochs == (9 * 39 if epochs else (12 + 9 + 18) * 20 + 18 * 12)


@pytest.mark.parametrize(
    ("path", "entry", "matched"),
    [
        ("distill.logit", {"type": "float", "low": 0, "high": 1}, 0),
        ("train.learning_rate", {"type": "float", "low": 1e-4, "high": 1e-3}, 2),
        ("student.preset", SWITCH, 2),
    ],
)
def test_baselines_that_train_as_the_champion_are_counted_where_training_is_searched(
    path: str, entry: dict[str, Any], matched: int
) -> None:
    assert Budget.of(config_of({path: entry})).matched_baselines == matched


def test_parts_are_folds_times_seeds() -> None:
    budget = Budget.of(config_of(search={"seeds": [0, 1, 2], "trials": 10}))
    assert (budget.trials, budget.parts, budget.search_steps) == (10, 6, 720)
