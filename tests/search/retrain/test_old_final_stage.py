"""A run that owkd 0.1.0 finished: reported as it was, and not trained anew without being asked."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from markupsafe import escape
from rich.console import Console

from launch.cli import run_command
from owkd.errors import UserError
from search.execution.resources import TrialResources
from search.report import write_report
from search.report.gather import gather
from search.report.text import EARLIER_VERSION, candidates, headline
from search.retrain.stage import FinalWork, retrain
from tests.support.fake_training import fake_evaluate, fake_run
from tests.support.inline_jobs import evaluate_here, work_off
from tests.support.old_runs import unpacked

WORK = FinalWork(fake_run, fake_evaluate, lambda config, console: (config, TrialResources(1, 0, 1)))
MODELS = 12


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return unpacked("finished", tmp_path)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def verdict(run: Path) -> list[str]:
    found: list[str] = json.loads((run / "retrain" / "champion" / "metrics.json").read_text())["comparison"]["verdict"]
    return found


def test_its_report_says_what_it_said_and_why_that_is_weaker(run: Path) -> None:
    said = verdict(run)
    assert len(said) == 4
    assert headline(gather(run)) == [EARLIER_VERSION, *said]
    text = write_report(run).read_text()
    for sentence in (EARLIER_VERSION, *said):
        assert str(escape(sentence)) in text
    assert "figure-claims" not in text
    assert [row["models"] for row in candidates(gather(run))] == [3] * 4 + [1], "candidates and baselines; the teacher"


def test_it_is_refused_until_it_is_asked_for(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert run_command(["retrain", str(run)]) == 2
    assert "--reopen" in capfd.readouterr().err
    with pytest.raises(UserError, match=r"is of an earlier one, whose test seeds were the search's"):
        retrain(run, connect=lambda: pytest.fail("nothing is begun"), console=console(), work=WORK)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


def test_reopened_it_trains_on_fresh_seeds_and_every_result_says_that_the_split_was_open(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.retrain.models.training.run_jobs", work_off)
    monkeypatch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)
    trained = len(list(run.glob("retrain/*/*/*/metrics.json")))
    assert trained == MODELS
    outcome = retrain(run, connect=nullcontext, console=console(), work=WORK, reopen=True)
    assert len(list(run.glob("retrain/*/*/*/metrics.json"))) > MODELS
    assert {claim.lead.seeds for claim in outcome.comparison.claims} == {(3, 3)}
    (note,) = outcome.comparison.notes
    assert note.startswith("The test split was opened before, when the champion was trial 8 of an earlier version.")
    again = retrain(run, connect=lambda: pytest.fail("it is done"), console=console(), work=WORK)
    assert again.comparison == outcome.comparison
    assert note in headline(gather(run))
