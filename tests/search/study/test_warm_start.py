"""A search that begins with what an earlier one found, against real Optuna."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from owkd.config import Config, parse_config
from owkd.errors import ConfigError
from search.runs.lock import lock_run
from search.runs.manifest import create
from search.study.study import Study
from search.study.warm_start import EarlierTrials, read_earlier
from search.trials.objective import Score
from search.trials.view import Ending
from tests.support.handed_out import next_proposal
from tests.support.s3_server import s3 as s3

BATCH = {"train.batch_size": {"type": "int", "low": 4, "high": 32, "step": 4}}
ONE = {"distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}}
BOTH = {**ONE, **BATCH}


def config_of(name: str, sampler=None, **search) -> Config:
    chosen = {"name": name, "seed": 3, **(sampler or {})}
    search = {"trials": 12, "scheduler": {"name": "none"}, "sampler": chosen, **search}
    return parse_config({"data": {"root": "d", "dataset": "s"}, "train": {"epochs": 3}, "search": search})


def worth(values) -> float:
    """Best where gram is 1e-3, which is not the published 1e-4."""
    if not values["distill.gram"]:
        return 0.6
    return 1 - 0.2 * abs(math.log10(values["distill.gram"] / 1e-3))


def play(study: Study, trials: int) -> list[dict]:
    """Runs trials to their ends -> their values."""
    found = []
    for _ in range(trials):
        proposal = next_proposal(study)
        study.started(proposal.number)
        value = worth(proposal.values)
        study.report(proposal.number, 1, value, score=Score(value, {"val/mAP": value, "val/rank-1": value}, step=1))
        study.finish(proposal.number, Ending("complete"))
        found.append(proposal.values)
    return found


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)


def earlier_run(tmp_path: Path, trials: int = 20, space=ONE, **search) -> Path:
    """With so many complete trials that are points of its space; training without distillation is none."""
    config = config_of("random", trials=trials + 1, space=space, **search)
    folder = create(tmp_path / "earlier", config, {})
    play(Study(folder.journal, folder.name, config), trials + 1 if trials > 1 else trials)
    return folder.root


def warm(run: Path, name: str = "tpe", space=ONE, **search) -> Config:
    return config_of(name, space=space, warm_start=str(run), sampler={"startup_trials": 10}, **search)


def earlier_trials(config: Config) -> EarlierTrials:
    earlier = read_earlier(config)
    assert earlier is not None, "the configuration names no earlier run"
    return earlier


@pytest.mark.parametrize("constraints", [[], ["val/rank-1 >= 0.5"]], ids=["free", "constrained"])
@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_proposals_lie_near_the_earlier_optimum_and_counts_are_our_own(
    tmp_path: Path, name: str, constraints: list[str]
) -> None:
    config = warm(earlier_run(tmp_path, constraints=constraints), name, constraints=constraints)
    earlier = earlier_trials(config)
    teaching = len(earlier.points)
    assert 10 < teaching < 20 if constraints else teaching == 20
    assert f"{teaching} trials" in earlier.summary
    (tmp_path / "new").mkdir()
    study = Study(tmp_path / "new" / "study.journal", "run", config, earlier.points)
    found = play(study, 7)
    cold = play(Study(tmp_path / "cold.journal", "run", config), 7)
    modelled = (2, 4)  # the fourth trial of gp is drawn at random
    assert sum(worth(found[number]) for number in modelled) > sum(worth(cold[number]) for number in modelled)
    assert sum(map(worth, found[2:])) > sum(map(worth, cold[2:]))
    views = list(study.views())
    assert [view.number for view in views] == list(range(7))
    assert [view.published for view in views] == [True] + [False] * 6
    assert study._study.best_trial.number in range(7)
    assert next_proposal(study).number == 7


def test_a_resumed_study_needs_no_earlier_run(tmp_path: Path) -> None:
    config = warm(earlier_run(tmp_path))
    points = earlier_trials(config).points
    proposals = []
    for name, opened in (("once", 1), ("often", 4)):
        (tmp_path / name).mkdir()
        journal = tmp_path / name / "study.journal"
        study = Study(journal, "run", config, points)
        found = []
        for _ in range(4):
            found += play(study, 1)
            if opened > 1:
                study = Study(journal, "run", config)
        proposals.append(found)
    assert proposals[0] == proposals[1]


def test_a_part_of_the_space_is_shared_and_the_rest_is_as_in_their_configuration(tmp_path: Path) -> None:
    config = warm(earlier_run(tmp_path, 3), space=BOTH)
    earlier = earlier_trials(config)
    assert "which searched distill.gram; as in its configuration: train.batch_size" in earlier.summary
    assert {point["params"]["train.batch_size"] for point in earlier.points} == {config.train.batch_size}
    assert len({point["params"]["distill.gram"] for point in earlier.points}) == 3


def test_cmaes_takes_ten_trials_or_none(tmp_path: Path) -> None:
    few = earlier_trials(warm(earlier_run(tmp_path / "few", 9, BOTH), "cmaes", BOTH))
    assert few.points == ()
    assert "ignored" in few.summary
    config = warm(earlier_run(tmp_path / "many", 10, BOTH), "cmaes", BOTH)
    (tmp_path / "new").mkdir()
    play(Study(tmp_path / "new" / "study.journal", "run", config, earlier_trials(config).points), 4)


def test_a_run_of_no_use_to_us_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must name a run: a run must hold"):
        read_earlier(warm(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="complete trial"):
        read_earlier(warm(earlier_run(tmp_path / "a", 0)))
    run = earlier_run(tmp_path / "b", 1)
    with pytest.raises(ConfigError, match="field of ours"):
        read_earlier(warm(run, space=BATCH))
    with pytest.raises(ConfigError, match="same first objective"):
        read_earlier(warm(run, objectives=[{"metric": "val/rank-1"}]))
    with pytest.raises(ConfigError, match="same first objective"):
        read_earlier(warm(run, objectives=[{"reduction": "last"}]))
    with pytest.raises(ConfigError, match="scored by val/mAP, latency_ms, but got"):
        read_earlier(warm(run, constraints=["latency_ms <= 5"]))
    with pytest.raises(ConfigError, match=r"a trial that keeps search\.constraints, but"):
        read_earlier(warm(run, constraints=["val/rank-1 >= 0.99"]))


def test_an_earlier_run_may_be_in_a_store(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    config = config_of("random", space=ONE)
    folder = create(f"{s3}/runs/earlier", config, {})
    with lock_run(folder):
        play(Study(folder.journal, folder.name, config), 4)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))  # as on another machine
    earlier = earlier_trials(config_of("tpe", space=ONE, warm_start=f"{s3}/runs/earlier"))
    assert len(earlier.points) == 3
    assert f"3 trials of {s3}/runs/earlier" in earlier.summary


def test_an_address_without_a_run_is_refused_by_the_fields_name(s3: str) -> None:
    with pytest.raises(ConfigError, match=rf"search\.warm_start must name a run: .*{s3}/runs/nothing"):
        read_earlier(config_of("tpe", space=ONE, warm_start=f"{s3}/runs/nothing"))
