"""The tables of a run as others read them: DuckDB and pandas."""

from __future__ import annotations

import itertools
import math
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from search.results.tables import ResultTables, read_epochs, read_trials
from search.space import ColumnType
from search.trials.job import Message
from search.trials.listener import EpochRecord
from search.trials.view import TrialView
from tests.support.queries import rows_of

PARAMS: dict[str, ColumnType] = {
    "distill.gram": "float",
    "train.batch_size": "int",
    "student.depths": "text",
    "flag": "bool",
}


def record(epoch: int = 1, fold: str = "Fold1", **changes: Any) -> EpochRecord:
    fields: dict[str, Any] = {
        "fold": fold,
        "seed": 0,
        "epoch": epoch,
        "step": epoch,
        "objective": 0.1 * epoch,
        "best": 0.1 * epoch,
        "metrics": {"loss/total": 1.0 / epoch, "val/mAP": 0.1 * epoch, "duration_s": 2.0},
        "sent_at": 1_700_000_000.0 + epoch,
        "host": "node",
    }
    return EpochRecord(**{**fields, **changes})


def view(number: int = 0, **changes: Any) -> TrialView:
    fields: dict[str, Any] = {
        "number": number,
        "state": "running",
        "attempt": 1,
        "fixed": "published weights" if number == 0 else None,
        "nearest": False,
        "values": {"distill.gram": 1e-4, "train.batch_size": 8, "student.depths": [1, 1, 9, 1], "flag": True},
        "curve": {1: 0.1},
        "objective": 0.1,
        "best_step": 1,
        "started_at": datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
        "ended_at": None,
        "host": "node",
        "stopped_by": None,
        "error_type": None,
        "error_text": None,
    }
    return TrialView(**{**fields, **changes})


@pytest.fixture
def tables(tmp_path: Path) -> ResultTables:
    return ResultTables(tmp_path / "results", PARAMS)


def test_an_epoch_is_stored_once_however_often_it_is_reported(tables: ResultTables) -> None:
    tables.open_trial(0)
    assert [tables.add_epoch(0, record(epoch=epoch), 1) for epoch in (1, 2, 2, 1)] == [True, True, False, False]
    tables.close_trial(0)
    rows = tables.open_trial(0)  # as a driver does that goes on with the run
    assert [row["epoch"] for row in rows] == [1, 2]
    assert not tables.add_epoch(0, record(epoch=2, objective=0.9), 2)
    assert tables.add_epoch(0, record(epoch=3), 2)
    table = read_epochs(tables.results)
    assert table["epoch"].to_pylist() == [1, 2, 3]
    assert table["attempt"].to_pylist() == [1, 1, 2]
    assert table["objective"].to_pylist() == pytest.approx([0.1, 0.2, 0.3])


def test_an_epoch_is_known_by_fold_seed_and_number(tables: ResultTables) -> None:
    tables.open_trial(0)
    assert tables.add_epoch(0, record(epoch=1), 1)
    assert tables.add_epoch(0, record(epoch=1, fold="Fold2", step=5), 1)
    assert tables.add_epoch(0, record(epoch=1, seed=3, step=9), 1)
    assert not tables.add_epoch(0, record(epoch=1, seed=3, step=9), 2)
    table = read_epochs(tables.results)
    assert list(zip(table["fold"].to_pylist(), table["seed"].to_pylist(), strict=True)) == [
        ("Fold1", 0),
        ("Fold2", 0),
        ("Fold1", 3),
    ]


def test_a_trial_has_one_row_that_follows_its_state(tables: ResultTables) -> None:
    tables.open_trial(0)
    tables.add_epoch(0, record(epoch=1), 1)
    tables.add_epoch(0, record(epoch=2), 1)
    tables.write_trial(view())
    tables.write_trial(view(state="error", error_type="RuntimeError", error_text="a cable", objective=None))
    (row,) = read_trials(tables.results).to_pylist()
    assert row["state"] == "error" == tables.repair()[0]
    assert (row["error_type"], row["error_text"]) == ("RuntimeError", "a cable")
    assert row["duration_s"] == 4.0
    assert row["started_at"] == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert row["param.distill.gram"] == 1e-4
    assert row["param.train.batch_size"] == 8
    assert row["param.student.depths"] == "[1, 1, 9, 1]"
    assert row["param.flag"] is True
    assert row["objective"] is None


def test_duckdb_and_pandas_read_the_folders_as_they_are(tables: ResultTables) -> None:
    for number in range(3):
        tables.open_trial(number)
        for epoch in range(1, 3 + number):
            tables.add_epoch(number, record(epoch), 1)
        tables.write_trial(view(number, state="complete" if number else "pruned"))
    trials, epochs = (str(tables.results / name) for name in ("trials", "epochs"))
    count, best = rows_of(f"SELECT count(*), max(objective) FROM '{trials}/*.parquet'")[0]
    assert (count, best) == (3, 0.1)
    joined = rows_of(
        f"""SELECT t.trial, count(*) AS n, max(e."val/mAP") AS top FROM '{trials}/*.parquet' t
        JOIN '{epochs}/*.parquet' e USING (trial) WHERE t.state = 'complete' GROUP BY ALL ORDER BY ALL"""
    )
    assert joined == [(1, 3, pytest.approx(0.3)), (2, 4, pytest.approx(0.4))]
    frame = pd.read_parquet(epochs)
    assert len(frame) == 2 + 3 + 4
    assert str(frame["ended_at"].dtype) == "datetime64[us, UTC]"
    assert pd.read_parquet(trials)["param.distill.gram"].tolist() == [1e-4] * 3


def test_each_file_names_its_schema_version_and_leaves_no_part_behind(tables: ResultTables) -> None:
    tables.open_trial(0)
    tables.add_epoch(0, record(), 1)
    tables.write_trial(view())
    files = sorted(tables.results.rglob("*"))
    parquet = [path for path in files if path.is_file()]
    assert [path.name for path in parquet] == ["trial-00000.parquet"] * 2
    assert all(pq.read_schema(path).metadata[b"schema_version"] == b"1" for path in parquet)


def test_a_note_is_kept_also_of_an_epoch_that_is_reported_again(tables: ResultTables) -> None:
    tables.open_trial(0)
    assert tables.add_epoch(0, record(epoch=1), 1)
    assert tables.add_epoch(0, record(epoch=2), 1)
    assert not tables.add_epoch(0, record(epoch=1, is_new=False, note="started anew: last.pt is damaged"), 2)
    assert not tables.add_epoch(0, record(epoch=2, is_new=False), 2)
    rows = read_epochs(tables.results).select(["epoch", "attempt", "note"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(1, 1, "started anew: last.pt is damaged"), (2, 1, None)]


def test_a_table_can_be_read_while_it_is_replaced(tables: ResultTables) -> None:
    tables.open_trial(0)
    stop = threading.Event()

    def rewrite() -> None:
        for epoch in itertools.count(1):
            if stop.is_set():
                return
            tables.add_epoch(0, record(epoch=epoch), 1)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        counts = [0]
        while len(counts) < 300 or counts[-1] <= 10:
            counts.append(read_epochs(tables.results).num_rows)
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts)


def test_empty_results_are_empty_tables(tmp_path: Path) -> None:
    assert read_trials(tmp_path).num_rows == 0
    assert "objective" in read_epochs(tmp_path).column_names


def test_messages_survive_what_ray_adds_to_them() -> None:
    metrics = (("loss/total", 1.0), ("val/mAP", 0.1))
    sent = Message("trial-00000", "running", 1, math.pi, "Fold1", 0, 1, metrics, False, 1_700_000_001.0, "node")
    assert Message.of({**sent.__dict__, "trial_id": "x", "time_total_s": 1.0}) == sent
