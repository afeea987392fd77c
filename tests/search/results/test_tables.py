"""Parquet and TensorBoard as others read them: DuckDB, pandas, and TensorBoard's own reader."""

from __future__ import annotations

import itertools
import math
import threading
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from owkd.config import parse_config
from search.results.tables import Store, read_epochs, read_trials
from search.runs.layout import trial_name
from search.space.parameters import columns
from search.tensorboard.trials import Board, Scalars
from search.trials.job import Message
from search.trials.view import TrialView

PARAMS = {"distill.gram": "float", "train.batch_size": "int", "student.depths": "text", "flag": "bool"}


def message(number: int = 0, epoch: int = 1, fold: str = "Fold1", **changes) -> Message:
    fields = {
        "key": trial_name(number),
        "state": "running",
        "step": epoch,
        "objective": 0.1 * epoch,
        "fold": fold,
        "seed": 0,
        "epoch": epoch,
        "metrics": (("loss/total", 1.0 / epoch), ("val/mAP", 0.1 * epoch), ("duration_s", 2.0)),
        "replayed": False,
        "sent_at": 1_700_000_000.0 + epoch,
        "host": "node",
    }
    return Message(**{**fields, **changes})


def view(number: int = 0, **changes) -> TrialView:
    fields = {
        "number": number,
        "state": "running",
        "attempt": 1,
        "published": number == 0,
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
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", PARAMS)


def test_an_epoch_is_stored_once_however_often_it_is_told(store: Store) -> None:
    store.open(0)
    assert [store.add_epoch(0, message(epoch=epoch), 1) for epoch in (1, 2, 2, 1)] == [True, True, False, False]
    store.close(0)
    rows = store.open(0)  # as a driver does that goes on with the run
    assert [row["epoch"] for row in rows] == [1, 2]
    assert not store.add_epoch(0, message(epoch=2, objective=0.9), 2)
    assert store.add_epoch(0, message(epoch=3), 2)
    table = read_epochs(store.results)
    assert table["epoch"].to_pylist() == [1, 2, 3]
    assert table["attempt"].to_pylist() == [1, 1, 2]
    assert table["objective"].to_pylist() == pytest.approx([0.1, 0.2, 0.3])


def test_an_epoch_is_known_by_fold_seed_and_number(store: Store) -> None:
    store.open(0)
    assert store.add_epoch(0, message(epoch=1), 1)
    assert store.add_epoch(0, message(epoch=1, fold="Fold2", step=5), 1)
    assert store.add_epoch(0, message(epoch=1, seed=3, step=9), 1)
    assert not store.add_epoch(0, message(epoch=1, seed=3, step=9), 2)
    table = read_epochs(store.results)
    assert list(zip(table["fold"].to_pylist(), table["seed"].to_pylist(), strict=True)) == [
        ("Fold1", 0),
        ("Fold2", 0),
        ("Fold1", 3),
    ]


def test_a_trial_has_one_row_that_follows_its_state(store: Store) -> None:
    store.open(0)
    store.add_epoch(0, message(epoch=1), 1)
    store.add_epoch(0, message(epoch=2), 1)
    store.write_trial(view())
    store.write_trial(view(state="error", error_type="RuntimeError", error_text="a cable", objective=None))
    (row,) = read_trials(store.results).to_pylist()
    assert row["state"] == "error" == store.mend()[0]
    assert (row["error_type"], row["error_text"]) == ("RuntimeError", "a cable")
    assert row["duration_s"] == 4.0
    assert row["started_at"] == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert row["param.distill.gram"] == 1e-4
    assert row["param.train.batch_size"] == 8
    assert row["param.student.depths"] == "[1, 1, 9, 1]"
    assert row["param.flag"] is True
    assert row["objective"] is None


def test_duckdb_and_pandas_read_the_folders_as_they_are(store: Store) -> None:
    for number in range(3):
        store.open(number)
        for epoch in range(1, 3 + number):
            store.add_epoch(number, message(number, epoch), 1)
        store.write_trial(view(number, state="complete" if number else "pruned"))
    trials, epochs = (str(store.results / name) for name in ("trials", "epochs"))
    count, best = duckdb.sql(f"SELECT count(*), max(objective) FROM '{trials}/*.parquet'").fetchall()[0]
    assert (count, best) == (3, 0.1)
    joined = duckdb.sql(
        f"""SELECT t.trial, count(*) AS n, max(e."val/mAP") AS top FROM '{trials}/*.parquet' t
        JOIN '{epochs}/*.parquet' e USING (trial) WHERE t.state = 'complete' GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    assert joined == [(1, 3, pytest.approx(0.3)), (2, 4, pytest.approx(0.4))]
    frame = pd.read_parquet(epochs)
    assert len(frame) == 2 + 3 + 4
    assert str(frame["ended_at"].dtype) == "datetime64[us, UTC]"
    assert pd.read_parquet(trials)["param.distill.gram"].tolist() == [1e-4] * 3


def test_each_file_names_its_schema_version_and_leaves_no_part_behind(store: Store) -> None:
    store.open(0)
    store.add_epoch(0, message(), 1)
    store.write_trial(view())
    files = sorted(store.results.rglob("*"))
    parquet = [path for path in files if path.is_file()]
    assert [path.name for path in parquet] == ["trial-00000.parquet"] * 2
    assert all(pq.read_schema(path).metadata[b"schema_version"] == b"1" for path in parquet)


def test_a_table_can_be_read_while_it_is_replaced(store: Store) -> None:
    store.open(0)
    stop = threading.Event()

    def rewrite() -> None:
        for epoch in itertools.count(1):
            if stop.is_set():
                return
            store.add_epoch(0, message(epoch=epoch), 1)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        counts = [read_epochs(store.results).num_rows for _ in range(300)]
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts)
    assert counts[-1] > 10


def test_empty_results_are_empty_tables(tmp_path: Path) -> None:
    assert read_trials(tmp_path).num_rows == 0
    assert "objective" in read_epochs(tmp_path).column_names


SPACE = {
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.teacher_weights": {"type": "simplex"},
    "distill.stage_weights": {"type": "simplex"},
    "train.batch_size": {"type": "categorical", "choices": [8, 16]},
    "student.depths": {"type": "categorical", "choices": [[1, 1, 9, 1], [1, 1, 1, 1]]},
}
VALUES = {
    "distill.gram": 2e-4,
    "distill.teacher_weights": {"original": 1.5, "attention": 1.0, "gce": 0.5},
    "distill.stage_weights": "learned",
    "train.batch_size": 16,
    "student.depths": [1, 1, 1, 1],
}


def scalars(epoch: int, fold: str = "Fold1", step: int | None = None, seed: int = 0) -> Scalars:
    metrics = {"loss/total": 1 / epoch, "val/mAP": 0.1 * epoch, "val/rank-1": 0.2, "stage_weight/1": 1.25}
    return Scalars(fold, seed, epoch, step or epoch, 0.1 * epoch, 0.1 * epoch, metrics, 1_700_000_000.0 + epoch)


def config_of(**data):
    return parse_config(
        {
            "data": {"root": "d", "dataset": "s", **data},
            "teacher": {"checkpoint": "{fold}.safetensors"},
            "search": {"space": SPACE},
        }
    )


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def hparams(events: EventAccumulator, tag: str) -> HParamsPluginData:
    content = events.SummaryMetadata(tag).plugin_data.content
    return HParamsPluginData.FromString(content)


def test_hyperparameters_stand_before_the_first_epoch(tmp_path: Path) -> None:
    board = Board(tmp_path, config_of())
    board.open(7, VALUES)
    events = read(tmp_path / "trial-00007")
    start = hparams(events, metadata.SESSION_START_INFO_TAG).session_start_info
    assert start.hparams["distill.gram"].number_value == 2e-4
    assert start.hparams["distill.teacher_weights.original"].number_value == 1.5
    assert start.hparams["train.batch_size"].number_value == 16
    assert start.hparams["student.depths"].string_value == "[1, 1, 1, 1]"
    assert "distill.stage_weights.stage1" not in start.hparams  # learned weights are no number
    experiment = hparams(events, metadata.EXPERIMENT_TAG).experiment
    infos = {info.name: info for info in experiment.hparam_infos}
    assert infos.keys() == columns(config_of()).keys()
    gram, weight = infos["distill.gram"].domain_interval, infos["distill.teacher_weights.gce"].domain_interval
    assert (gram.min_value, gram.max_value, weight.min_value, weight.max_value) == (1e-6, 1e-2, 0, 3)
    assert [v.number_value for v in infos["train.batch_size"].domain_discrete.values] == [8, 16]
    board.close_all()


def test_scalars_are_readable_while_the_trial_runs(tmp_path: Path) -> None:
    board = Board(tmp_path, config_of())
    board.open(0, VALUES)
    for epoch in (1, 2):
        board.add(0, scalars(epoch))
        events = read(tmp_path / "trial-00000")
        assert [event.step for event in events.Scalars("val/mAP")] == list(range(1, epoch + 1))
    tags = {"loss/total", "val/mAP", "val/rank-1", "stage_weight/1", "objective", "objective_best"}
    assert set(events.Tags()["scalars"]) == tags
    assert events.Scalars("loss/total")[1].value == 0.5
    assert events.Scalars("loss/total")[1].wall_time == 1_700_000_002.0
    board.close_all()


@pytest.mark.parametrize(
    ("state", "status"),
    [("complete", STATUS_SUCCESS), ("pruned", STATUS_SUCCESS), ("diverged", STATUS_FAILURE), ("error", STATUS_FAILURE)],
)
def test_an_ended_trial_has_its_status_and_metrics_that_hparams_finds(tmp_path: Path, state, status) -> None:
    board = Board(tmp_path, config_of())
    board.open(0, VALUES)
    board.add(0, scalars(1))
    board.close(0, state)
    events = read(tmp_path / "trial-00000")
    assert hparams(events, metadata.SESSION_END_INFO_TAG).session_end_info.status == status
    named = {info.name.tag for info in hparams(events, metadata.EXPERIMENT_TAG).experiment.metric_infos}
    assert {"objective_best", "val/mAP", "val/rank-1", "loss/total"} <= named
    assert {"objective_best", "val/mAP", "val/rank-1", "loss/total"} <= set(events.Tags()["scalars"])


def test_a_trial_that_goes_on_has_each_epoch_once(tmp_path: Path) -> None:
    first = Board(tmp_path, config_of())
    first.open(0, VALUES)
    first.add(0, scalars(1))
    first.add(0, scalars(2))
    (file,) = (tmp_path / "trial-00000").iterdir()
    with file.open("ab") as torn:
        torn.write(b"\x99\x01\x00")  # what a kill leaves of a record
    second = Board(tmp_path, config_of())
    second.open(0, VALUES, [scalars(1), scalars(2)])
    second.add(0, scalars(3))
    second.close(0, "complete")
    events = read(tmp_path / "trial-00000")
    assert [event.step for event in events.Scalars("val/mAP")] == [1, 2, 3]
    assert [event.step for event in events.Scalars("objective")] == [1, 2, 3]
    assert len(list((tmp_path / "trial-00000").iterdir())) == 1
    first.close_all()


def test_several_folds_have_names_of_their_own_and_one_objective(tmp_path: Path) -> None:
    board = Board(tmp_path, config_of(folds=["Fold1", "Fold2"]))
    board.open(0, VALUES)
    board.add(0, scalars(1, "Fold1", 1))
    board.add(0, scalars(1, "Fold2", 5))
    board.close(0, "complete")
    events = read(tmp_path / "trial-00000")
    assert [event.step for event in events.Scalars("Fold2/val/mAP")] == [1]
    assert [event.step for event in events.Scalars("objective")] == [1, 5]
    assert "Fold2/val/mAP" in {i.name.tag for i in hparams(events, metadata.EXPERIMENT_TAG).experiment.metric_infos}


def test_seeds_too(tmp_path: Path) -> None:
    raw = config_of(folds=["Fold1", "Fold2"]).to_dict()
    raw["search"]["seeds"] = [3, 4]
    board = Board(tmp_path, parse_config(raw))
    board.open(0, VALUES)
    board.add(0, scalars(1, "Fold2", 5, seed=4))
    board.close(0, "complete")
    events = read(tmp_path / "trial-00000")
    assert [event.step for event in events.Scalars("Fold2/seed-4/val/mAP")] == [1]
    named = {i.name.tag for i in hparams(events, metadata.EXPERIMENT_TAG).experiment.metric_infos}
    assert {"Fold1/seed-3/val/mAP", "Fold2/seed-4/val/mAP"} <= named


def test_messages_survive_what_ray_adds_to_them() -> None:
    sent = message(objective=math.pi)
    assert Message.of({**sent.__dict__, "trial_id": "x", "time_total_s": 1.0}) == sent
