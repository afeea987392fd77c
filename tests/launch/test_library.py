"""owkd as a library: the work of the commands without their words."""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from rich.console import Console

import launch
import owkd
from launch.driver import run_search
from owkd.errors import ConfigError, UserError
from search import Run, TrialListener
from search.execution.resources import TrialResources
from search.run_search import Work
from search.trials.listener import ActiveTrial, EpochRecord
from search.trials.view import Ending
from tests.support.fake_training import fake_check, fake_config, fake_run
from tests.support.inline_jobs import work_off


class Heard(TrialListener):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def job_started(self, job: ActiveTrial) -> None:
        self.events.append(("started", job.number))

    def epoch_recorded(self, job: ActiveTrial, epoch: EpochRecord) -> None:
        self.events.append(("epoch", job.number, epoch.epoch))

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        self.events.append(("ended", job.number, ending.state))


WORK = Work(fake_run, fake_check, prepare=lambda config, console: (config, TrialResources(1, 0, 1)))


@pytest.fixture
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray, and a training of a moment."""
    monkeypatch.setattr("search.run_search.OWKD", WORK)
    monkeypatch.setattr("search.run_search.run_jobs", work_off)
    monkeypatch.setattr("launch.library.connection", lambda address: nullcontext)


@pytest.mark.usefixtures("_stand_in")
def test_a_quiet_search_says_what_came_of_it_and_no_more(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    config = owkd.parse_config(fake_config(tmp_path, trials=2))
    run_search(config, tmp_path / "runs", quiet=True)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "2 of 2 trials: 2 complete"
    assert not [line for line in lines if "started" in line]


@pytest.mark.usefixtures("_stand_in")
def test_a_search_is_run_heard_read_and_resumed_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    heard = Heard()
    config = owkd.parse_config(fake_config(tmp_path, trials=3))
    summary = launch.search(config, str(tmp_path / "runs" / "a"), listeners=[heard])
    assert summary.counts == {"complete": 3}
    for number in range(3):
        assert [event[0] for event in heard.events if event[1] == number] == ["started", *["epoch"] * 4, "ended"]

    run = Run(str(summary.folder.address))
    assert run.config.name == "a"
    assert run.trials().num_rows == 3
    best = run.best()
    assert best is not None
    assert summary.best is not None
    assert best["objective"] == max(run.trials()["objective"].to_pylist()) == summary.best.objective
    assert run.epochs().to_pandas().groupby("trial").size().to_list() == [4, 4, 4]
    assert [table().num_rows for table in (run.models, run.comparison, run.queries)] == [0, 0, 0]

    again = launch.resume(run.address, trials=1, listeners=[heard])
    assert again.counts == {"complete": 4}
    assert heard.events[-1] == ("ended", 3, "complete")
    with pytest.raises(UserError, match="a new run must have a name of its own"):
        launch.search(config, run.address)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.usefixtures("_stand_in")
def test_a_copy_of_the_study_changes_no_run(tmp_path: Path):
    config = owkd.parse_config(fake_config(tmp_path, trials=2))
    run = Run(launch.search(config, tmp_path / "runs" / "a").folder.root)
    before = (tmp_path / "runs" / "a" / "study.journal").read_bytes()
    study = run.study()
    assert [trial.number for trial in study.trials] == [0, 1]
    assert study.best_value == max(run.trials()["objective"].to_pylist())
    study.tell(study.ask(), 9.0)
    assert (tmp_path / "runs" / "a" / "study.journal").read_bytes() == before
    with pytest.raises(UserError, match=r"has no champion yet; run its final stage: owkd retrain"):
        run.champion()


def test_what_misses_a_constraint_is_not_the_best(monkeypatch: pytest.MonkeyPatch):
    rows = [{"state": "complete", "feasible": False}, {"state": "complete", "feasible": True}]
    monkeypatch.setattr(Run, "_open", lambda *_: None)
    monkeypatch.setattr(Run, "trials", lambda _: pa.Table.from_pylist(rows))
    assert Run("runs/a").best() == rows[1]


@pytest.mark.usefixtures("_stand_in")
def test_a_console_is_where_people_watch(tmp_path: Path):
    out = io.StringIO()
    config = owkd.parse_config(fake_config(tmp_path, trials=2))
    launch.search(config, tmp_path / "run", console=Console(file=out, width=200))
    assert "trial 0 complete" in out.getvalue()


@pytest.mark.usefixtures("_stand_in")
def test_what_a_listener_raises_ends_the_search_which_can_be_resumed(tmp_path: Path):
    class Fussy(TrialListener):
        def epoch_recorded(self, job: ActiveTrial, epoch: EpochRecord) -> None:
            raise ZeroDivisionError

    config = owkd.parse_config(fake_config(tmp_path, trials=2))
    with pytest.raises(ZeroDivisionError):
        launch.search(config, tmp_path / "run", listeners=[Fussy()])
    assert launch.resume(tmp_path / "run").counts == {"complete": 2}


def test_mistakes_of_a_file_are_named_at_once_and_nothing_is_written(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("train: {epochs: none}\nserch: {}\n")
    with pytest.raises(ConfigError) as refused:
        launch.search(str(tmp_path / "bad.yaml"), tmp_path / "run")
    assert {"train.epochs", "serch"} <= set(str(refused.value).replace(":", " ").split())
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="a run must hold"):
        Run(tmp_path)


def test_a_cluster_is_joined_where_an_address_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def connection(address: str) -> object:
        def enter() -> None:
            raise UserError(f"no cluster at {address}")

        return enter

    monkeypatch.setattr("search.run_search.OWKD", WORK)
    monkeypatch.setattr("launch.library.connection", connection)
    with pytest.raises(UserError, match="no cluster at head:10001"):
        launch.search(owkd.parse_config(fake_config(tmp_path)), tmp_path / "run", address="head:10001")


@pytest.mark.parametrize("package", [owkd, launch])
def test_what_a_package_offers_is_there(package: ModuleType):
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing
