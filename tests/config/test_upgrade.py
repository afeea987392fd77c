"""What version 0.1.0 wrote: old names are read with a note, and runs without the fields that their kind ignored."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.cli import run_command
from owkd.config import parse_config, read_config, upgraded
from owkd.config.upgrade import ADDED
from owkd.errors import ConfigError

DATA = {"root": "/data", "dataset": "s"}
EVERY_SAMPLER = {
    "name": "nsga2",
    "seed": 3,
    "startup_trials": None,
    "candidates": 24,
    "multivariate": True,
    "constant_liar": True,
    "population": 9,
}
EVERY_SCHEDULER = {"name": "median", "metric": None, "grace_epochs": 2, "reduction_factor": 3, "min_trials": 4}


def tree(**search: Any) -> dict[str, Any]:
    return {"data": DATA, "search": search}


def test_a_run_of_an_earlier_version_is_read_without_what_its_kind_ignored() -> None:
    recorded = tree(sampler=EVERY_SAMPLER, scheduler=EVERY_SCHEDULER, give_up_margin=0.2)
    with pytest.raises(ConfigError, match=r"search\.sampler\.startup_trials: "):
        parse_config(recorded)
    search = parse_config(upgraded(recorded)).search
    assert search.sampler.model_dump() == {"name": "nsga2", "seed": 3, "population": 9}
    assert search.scheduler.model_dump() == {"name": "median", "metric": None, "grace_epochs": 2, "min_trials": 4}
    assert search.race
    assert not parse_config(upgraded(tree(first_fold_margin=None))).search.race
    assert recorded["search"]["give_up_margin"] == 0.2


def test_a_run_from_before_a_field_has_the_value_that_it_trained_with() -> None:
    recorded = tree() | {"train": {"epochs": 3}}
    assert upgraded(recorded)["train"] == {**ADDED["train"], "epochs": 3}
    recorded["train"]["learning_rate_decay"] = "cosine"
    assert upgraded(recorded)["train"] == {**ADDED["train"], "epochs": 3, "learning_rate_decay": "cosine"}


def test_added_fields_have_the_values_of_a_configuration_that_says_nothing() -> None:
    tree_of_defaults = parse_config({"data": {"root": "unused", "dataset": "unused"}}).to_dict()
    for section, fields in ADDED.items():
        assert fields.items() <= tree_of_defaults[section].items()


def test_what_no_kind_knows_is_refused_in_a_run_too() -> None:
    with pytest.raises(ConfigError, match=r"search\.sampler\.poplation: unknown key; did you mean 'population'"):
        parse_config(upgraded(tree(sampler={"name": "nsga2", "poplation": 3})))


def test_what_this_version_writes_is_left_as_it_is() -> None:
    config = parse_config(tree(sampler={"name": "tpe"}, scheduler={"name": "none"}))
    assert upgraded(config.to_dict()) == config.to_dict()


def test_an_old_key_of_a_file_is_read_and_its_new_name_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(tree(give_up_margin=0.2)))
    reading = read_config(file)
    assert reading.whole().search.race
    (note,) = reading.notes
    assert note == "search.give_up_margin is search.race: true now; write that"
    assert read_config(file, ["search.give_up_margin=null"]).whole().search.race is False
    assert run_command(["plan", str(file), "--no-measure"]) == 2  # there are no data
    assert note in capsys.readouterr().err


def test_an_old_key_beside_the_new_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"search\.give_up_margin: unknown key"):
        parse_config(tree(give_up_margin=0.2, race=True))
