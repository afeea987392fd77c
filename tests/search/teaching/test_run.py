"""A search says whether its teacher has something to teach: before its first trial, at its end, in its report."""

from __future__ import annotations

import io
import re
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from launch.output.summary import print_search_summary
from owkd.config import parse_config
from search.report import write_report
from search.run_search import Work, resume, search
from search.runs.layout import trial_name
from search.teaching import TeachingTables
from tests.support.fake_training import fake_check, fake_config, fake_run, fake_validate

WORK = Work(fake_run, fake_check, validate=fake_validate)
NOTHING = "There is nothing to distil: "
MAYBE = "There may be nothing to distil: "
SOMETHING = "This teacher has something to teach: "


@pytest.mark.usefixtures("_ray")
@pytest.mark.parametrize(
    ("lead", "begins"),
    [
        (0.2, SOMETHING),
        pytest.param(0.0, MAYBE, marks=pytest.mark.slow),
        pytest.param(-0.2, NOTHING, marks=pytest.mark.slow),
    ],
)
def test_terminal_and_report_set_the_teacher_beside_a_student(
    tmp_path: Path, lead: float, begins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "teacher-lead").write_text(str(lead))
    tree = fake_config(tmp_path, trials=3)
    config = parse_config({**tree, "data": {**tree["data"], "folds": ["Fold1", "Fold2"]}, "retrain": {"top_k": 1}})
    out = io.StringIO()
    summary = search(
        config, tmp_path / "runs" / "fake", connect=nullcontext, console=Console(file=out, width=500), work=WORK
    )
    before, _, trials = out.getvalue().partition("trial 0 started")
    assert "Teacher, validation mAP by member: Fold1 original" in before
    assert trials

    print_search_summary(summary)
    printed = " ".join(capsys.readouterr().out.split())
    page = re.sub(r"<[^>]+>|\s+", " ", write_report(summary.folder.root).read_text(encoding="utf-8"))
    for said in (printed, re.sub(" +", " ", page)):
        assert begins in said
        assert ("nothing to distil" if begins == SOMETHING else SOMETHING) not in said
        assert f"gce {100 * lead:+.1f} (" in said
        assert "Its lead by member, in points of mAP: original " in said
    assert (summary.folder.checkpoints / trial_name(1)).is_dir()  # whether it is among the best or not

    models = summary.folder.results / "teaching" / "models.parquet"
    queries = duckdb.sql(
        f"select model, fold, member, avg(average_precision) from '{models.with_name('queries.parquet')}' group by all"
    )
    rows = duckdb.sql(f"select model, fold, member, \"val/mAP\" from '{models}'")
    assert queries is not None
    assert rows is not None
    assert {row[:3]: row[3] for row in queries.fetchall()} == pytest.approx(
        {row[:3]: row[3] for row in rows.fetchall()}
    )
    changed = models.stat().st_mtime_ns
    again = resume(
        summary.folder.root, trials=1, connect=nullcontext, console=Console(file=io.StringIO(), width=500), work=WORK
    )
    assert models.stat().st_mtime_ns == changed  # nothing is measured twice
    assert again.teaching == summary.teaching


def test_a_run_without_these_figures_says_nothing(tmp_path: Path) -> None:
    tables = TeachingTables(tmp_path)
    assert (tables.figures(), tables.leads(0.015), tables.has("teacher", "Fold1")) == ({}, (), False)
