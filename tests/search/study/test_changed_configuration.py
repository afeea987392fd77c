"""A search whose configuration was changed, by force: it goes on with every sampler, or is refused before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from owkd.config import Config
from owkd.errors import ConfigError
from search.space import parse_search_config
from search.space.entries import entry_of
from search.space.parameters import single
from search.study.study import Study
from search.trials.objective import Score
from search.trials.view import Ending
from tests.support.fake_training import fake_config

SAMPLERS: dict[str, dict[str, Any]] = {
    "auto": {"startup_trials": 2},
    "gp": {"startup_trials": 2},
    "tpe": {"startup_trials": 2},
    "cmaes": {"startup_trials": 2},
    "nsga2": {"population": 2},
    "random": {},
}
BEFORE, MORE = 7, 3
SPACE: dict[str, dict[str, Any]] = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.logit": {"type": "float", "low": 0.0, "high": 1.0},
    "train.epochs": {"type": "int", "low": 2, "high": 8},
    "distill.stage_weights": {"type": "simplex"},
    "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
}


def entry(name: str, **changes: Any) -> dict[str, Any]:
    """The space with one entry changed."""
    return {"space": {**SPACE, name: {**SPACE[name], **changes}}}


CHANGES: dict[str, dict[str, Any]] = {
    "a narrowed range": entry("distill.gram", low=1e-4, high=2e-4),
    "a range elsewhere": entry("distill.logit", low=2.0, high=3.0),
    "a widened range": entry("train.epochs", high=20),
    "a step": entry("distill.logit", step=0.3),
    "a parameter more": {"space": {**SPACE, "distill.spectrum": {"type": "float", "low": 0.0, "high": 1.0}}},
    "a parameter less": {"space": {name: SPACE[name] for name in SPACE if name != "distill.logit"}},
    "a condition": entry("distill.logit", when={"train.precision": "bf16"}),
    "a fixed value": {"space": {**SPACE, "train.epochs": {"type": "fixed", "value": 4}}},
    "a constraint": {"constraints": ["parameters <= 1000"]},
    "another reduction": {"objectives": [{"metric": "val/mAP", "reduction": "last"}]},
    "a seed": {"seeds": [4]},
}
REFUSED: dict[str, dict[str, Any]] = {
    "another kind": {"space": {**SPACE, "distill.logit": {"type": "categorical", "choices": [0.1, 0.5]}}},
    "no logarithm": entry("distill.gram", log=False),
    "a logarithm": entry("distill.logit", low=0.1, log=True),
    "other choices": entry("train.precision", choices=["fp32"]),
    "an objective more": {"objectives": [{"metric": "val/mAP"}, {"metric": "val/rank-1"}]},
    "another objective": {"objectives": [{"metric": "val/rank-1"}]},
}


def config_of(home: Path, sampler: str, **search: Any) -> Config:
    settings = {"name": sampler, "seed": 3, **SAMPLERS[sampler]}
    tree = fake_config(home, **{"trials": BEFORE, "sampler": settings, "space": SPACE, **search})
    return parse_search_config(tree)


def train(study: Study) -> list[dict[str, Any]]:
    """Every trial that is left -> what was proposed. Each is complete after an epoch, and worth what it says."""
    proposed = []
    while (proposal := study.next()) is not None:
        proposed.append(proposal.values)
        worth = 1 / (1 + abs(hash(str(sorted(proposal.values))) % 97) + proposal.number)
        metrics = {"val/mAP": worth, "val/rank-1": worth / 2, "parameters": 500.0 + proposal.number}
        values = {name: metrics[name] for name in study.config.search.judged_metrics}
        study.started(proposal.number)
        study.report(proposal.number, 1, worth, score=Score(worth, values, 1, (worth,)))
        study.finish(proposal.number, Ending("complete"))
    return proposed


@pytest.fixture(scope="module", params=sorted(SAMPLERS))
def searched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A sampler, and the journal of a search with it."""
    home = tmp_path_factory.mktemp(request.param)
    config = config_of(home, request.param)
    train(Study(home / "study.journal", "fake", config))
    return request.param, home / "study.journal"


def reopened(searched: tuple[str, Path], folder: Path, changes: dict[str, Any]) -> Study:
    sampler, journal = searched
    shutil.copy(journal, folder / journal.name)
    return Study(folder / journal.name, "fake", config_of(folder, sampler, **changes))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_may_be_forced_goes_on_with_every_sampler(
    searched: tuple[str, Path], change: str, tmp_path: Path
) -> None:
    if searched[0] == "cmaes" and "constraints" in CHANGES[change]:
        with pytest.raises(ConfigError, match="but got cmaes"):  # refused where the configuration is read
            reopened(searched, tmp_path, CHANGES[change])
        return
    study = reopened(searched, tmp_path, CHANGES[change])
    assert study.clashes() == []
    study.remember(study.config)
    study.add_trials(MORE)
    proposed = train(study)
    assert len(proposed) == MORE
    for values in proposed:
        single(study.config, values)
        for path, value in values.items():
            interval = entry_of(path, study.config.search.space[path]).interval
            if interval is not None and not isinstance(value, dict):
                assert interval[0] <= value <= interval[1]


@pytest.mark.parametrize("change", REFUSED)
def test_a_change_that_no_study_survives_is_refused_before_it(
    searched: tuple[str, Path], change: str, tmp_path: Path
) -> None:
    try:
        study = reopened(searched, tmp_path, REFUSED[change])
    except ConfigError:
        return  # where the configuration is read: several objectives are nothing for cmaes
    assert study.clashes()


def test_it_is_known_how_many_trials_are_no_points_any_more(searched: tuple[str, Path], tmp_path: Path) -> None:
    assert reopened(searched, tmp_path, {}).left_out == 0
    for number, change in enumerate(["a range elsewhere", "a parameter more"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert reopened(searched, folder, CHANGES[change]).left_out == BEFORE - 1  # one is no point anyway
