"""The published weights and no distillation: complete trials of every search that ended, under their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from owkd.config import parse_config
from owkd.errors import ConfigError
from search.recorder import SearchRecorder
from search.results.listing import list_trials
from search.runs.inputs import anchored
from search.runs.layout import RunFolder
from search.runs.manifest import create
from search.samplers.selection import SAMPLERS
from search.schedulers import SCHEDULERS, make_scheduler
from search.study.study import Study
from search.trials.view import FIXED
from tests.support.fake_training import fake_config, make_plan
from tests.support.inline_jobs import work_off

TRIALS = 12
POOR = {f"trial-{number:05d}": "bad" for number in (0, 1, 6, 7, 8, 9, 10, 11)}


def search(tmp_path: Path, trials: int = TRIALS, **section: Any) -> RunFolder:
    """A search in this process, over two folds."""
    tree = fake_config(tmp_path, trials=trials, **section)
    config = parse_config({**tree, "data": {**tree["data"], "folds": ["Fold1", "Fold2"]}})
    folder = create(tmp_path / "runs" / "fake", config, {})
    study = Study(folder.journal, "fake", config)
    recorder = SearchRecorder(folder, config, study)
    work_off(recorder, scheduler=make_scheduler(config, [], recorder.gives_up, recorder.spares))
    recorder.close()
    return folder


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_both_are_complete_however_poor_they_are(tmp_path: Path, sampler: str, scheduler: str) -> None:
    make_plan(tmp_path, POOR)
    rule = {"name": scheduler, **({} if scheduler == "none" else {"grace_epochs": 1})}
    folder = search(tmp_path, sampler={"name": sampler}, scheduler=rule)
    rows = sorted(list_trials(folder.root).to_pylist(), key=lambda row: row["trial"])
    assert len(rows) == TRIALS
    assert [row["fixed"] for row in rows] == [*FIXED, *[None] * (TRIALS - 2)]
    assert [row["state"] for row in rows[:2]] == ["complete"] * 2
    assert [row["last_step"] for row in rows[:2]] == [8, 8]
    assert [row["published"] for row in rows[:2]] == [True, False]
    # of trials as poor, the rule or the first fold stops one
    assert "pruned" in {row["state"] for row in rows[2:]}


def test_a_search_may_be_these_two_alone(tmp_path: Path) -> None:
    folder = search(tmp_path, trials=2)
    assert list_trials(folder.root)["state"].to_pylist() == ["complete"] * 2


def test_fewer_trials_than_these_are_refused_and_it_says_why() -> None:
    config = parse_config(fake_config(Path("/nowhere"), trials=1))
    with pytest.raises(
        ConfigError, match=r"search\.trials must be at least 2, because the first trials are published w"
    ):
        anchored(config, "run")
    with pytest.raises(ConfigError, match=r"but got 1; raise it"):
        anchored(parse_config(fake_config(Path("/nowhere"))), "run", trials=1)
    assert anchored(config, "run", trials=2).search.trials == 2
