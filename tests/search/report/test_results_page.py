"""The snippets of docs/results.md run on a run, and every column that it names is there."""

from __future__ import annotations

import io
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from owkd.config import parse_config
from search.execution.resources import TrialResources
from search.recorder import SearchRecorder
from search.retrain.stage import FinalWork, retrain
from search.runs.manifest import create
from search.study.study import Study
from tests.support.fake_training import fake_config, fake_evaluate, fake_run
from tests.support.inline_jobs import evaluate_here, work_off
from tests.support.queries import rows_of

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
TRIALS = 4
RETRAIN = "runs/sysu-search/results/retrain"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds runs/sysu-search: a search and its final stage, done in this process."""
    home = tmp_path_factory.mktemp("home")
    tree = fake_config(home, trials=TRIALS, sampler={"name": "random", "seed": 4})
    config = parse_config({**tree, "name": "sysu-search", "retrain": {"top_k": 1, "seeds": 3}})
    (home / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)
    folder = create(home / "runs" / "sysu-search", config, {})
    recorder = SearchRecorder(folder, config, Study(folder.journal, folder.name, config))
    work_off(recorder)
    recorder.event_files.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.retrain.models.training.run_jobs", work_off)
        patch.setattr("search.retrain.stage.evaluate_on_test", evaluate_here)
        final = FinalWork(fake_run, fake_evaluate, lambda config, console: (config, TrialResources(1, 0, 1)))
        retrain(folder.root, connect=nullcontext, console=Console(file=io.StringIO()), work=final)
    return home


def test_the_sql_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    rows, costs, figures = (rows_of(text) for text in blocks("sql"))
    assert sorted(row[0] for row in rows) == list(range(TRIALS))
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
    ((state, trials, hours),) = costs
    assert (state, trials) == ("complete", TRIALS)
    assert hours == pytest.approx(TRIALS * 4 * 0.25 / 3600)
    models = f'SELECT configuration, fold, seed, "test/mAP", "test/rank-1" FROM \'{RETRAIN}/models.parquet\''
    tested = rows_of(f'{models} WHERE "test/mAP" IS NOT NULL ORDER BY ALL')
    assert len(tested) == 3 * 3 + 1
    assert [row[:3] for row in figures] == [row[:3] for row in tested]
    for found, measured in zip(figures, tested, strict=True):
        assert found[3:] == pytest.approx(measured[3:])


def test_the_readmes_sql_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a run of another name, whose space has another loss."""
    monkeypatch.chdir(home)
    (text,) = re.findall(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    rows = rows_of(text.replace("runs/demo", "runs/sysu-search").replace("distill.logit", "distill.gram"))
    assert sorted(row[0] for row in rows) == list(range(TRIALS))
    assert rows[0][1] == max(row[1] for row in rows)


def test_the_python_runs(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(home)
    polars: dict[str, Any] = {}
    pandas: dict[str, Any] = {}
    verdict: dict[str, Any] = {}
    for text, names in zip(blocks("python"), (polars, pandas, verdict), strict=True):
        exec(text, names)
    assert polars["best"].height == TRIALS
    assert set(pandas["table"].index) >= {"published weights", "no distillation", "teacher"}
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 8
    assert re.fullmatch(r"split, test/mAP against published weights: [+-]\d\.\d{4} \(.* to .*\), (not )?shown", said[0])
    assert said[4].startswith("people, test/mAP against published weights: ")


@pytest.mark.parametrize("table", ["trials", "epochs", "retrain/models", "retrain/queries", "retrain/comparison"])
def test_the_columns_are_those_of_the_files(home: Path, table: str) -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `results/{table}"))
    named = set(re.findall(r"`([^`]+)`", line.split("|")[3]))
    folder = home / "runs" / "sysu-search" / "results"
    path = next((folder / table).glob("*.parquet")) if (folder / table).is_dir() else folder / f"{table}.parquet"
    with pq.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
    if table == "retrain/models":
        assert {"val/...", "test/..."} <= named
        there = {name for name in there if not name.startswith(("val/", "test/"))}
        named -= {"val/...", "test/..."}
    elif table == "epochs":
        there = {name for name in there if "/" not in name and name not in ("learning_rate", "duration_s")}
    else:
        there = {name for name in there if not name.startswith(("param.", "metric.", "part."))}
    assert named == there
