"""The event files of trials, read by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from owkd.config import parse_config
from search.space.parameters import columns
from search.tensorboard.trials import TrialEventFiles
from search.trials.listener import EpochRecord

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


def scalars(epoch: int, fold: str = "Fold1", step: int | None = None, seed: int = 0) -> EpochRecord:
    metrics = {"loss/total": 1 / epoch, "val/mAP": 0.1 * epoch, "val/rank-1": 0.2, "stage_weight/1": 1.25}
    return EpochRecord(fold, seed, epoch, step or epoch, 0.1 * epoch, 0.1 * epoch, metrics, 1_700_000_000.0 + epoch)


def config_of(search=None, **data):
    return parse_config(
        {
            "data": {"root": "d", "dataset": "s", **data},
            "teacher": {"checkpoint": "{fold}.safetensors"},
            "search": {"space": SPACE, **(search or {})},
        }
    )


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def hparams(events: EventAccumulator, tag: str) -> HParamsPluginData:
    content = events.SummaryMetadata(tag).plugin_data.content
    return HParamsPluginData.FromString(content)


def test_hyperparameters_stand_before_the_first_epoch(tmp_path: Path) -> None:
    event_files = TrialEventFiles(tmp_path, config_of())
    event_files.start(7, VALUES)
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
    event_files.close()


def test_scalars_are_readable_while_the_trial_runs(tmp_path: Path) -> None:
    event_files = TrialEventFiles(tmp_path, config_of())
    event_files.start(0, VALUES)
    for epoch in (1, 2):
        event_files.add_epoch(0, scalars(epoch))
        events = read(tmp_path / "trial-00000")
        assert [event.step for event in events.Scalars("val/mAP")] == list(range(1, epoch + 1))
    tags = {"loss/total", "val/mAP", "val/rank-1", "stage_weight/1", "objective", "objective_best", "epochs"}
    assert set(events.Tags()["scalars"]) == tags
    assert events.Scalars("loss/total")[1].value == 0.5
    assert events.Scalars("loss/total")[1].wall_time == 1_700_000_002.0
    event_files.close()


@pytest.mark.parametrize(
    ("state", "status"),
    [("complete", STATUS_SUCCESS), ("pruned", STATUS_SUCCESS), ("diverged", STATUS_FAILURE), ("error", STATUS_FAILURE)],
)
def test_an_ended_trial_has_its_status_and_metrics_that_hparams_finds(tmp_path: Path, state, status) -> None:
    event_files = TrialEventFiles(tmp_path, config_of())
    event_files.start(0, VALUES)
    event_files.add_epoch(0, scalars(1))
    event_files.end(0, state)
    events = read(tmp_path / "trial-00000")
    assert hparams(events, metadata.SESSION_END_INFO_TAG).session_end_info.status == status
    named = {info.name.tag for info in hparams(events, metadata.EXPERIMENT_TAG).experiment.metric_infos}
    assert {"objective_best", "val/mAP", "val/rank-1", "loss/total"} <= named
    assert {"objective_best", "val/mAP", "val/rank-1", "loss/total"} <= set(events.Tags()["scalars"])


def test_hparams_begins_with_what_may_be_compared(tmp_path: Path) -> None:
    event_files = TrialEventFiles(tmp_path, config_of(search={"scheduler": {"name": "asha", "grace_epochs": 2}}))
    event_files.start(0, VALUES)
    for epoch in (1, 2, 3):
        event_files.add_epoch(0, scalars(epoch))
    event_files.end(0, "pruned", 0.9, 3)
    events = read(tmp_path / "trial-00000")
    shown = [(i.name.tag, i.display_name) for i in hparams(events, metadata.EXPERIMENT_TAG).experiment.metric_infos]
    assert shown[:4] == [
        ("objective_complete", "val/mAP, complete trials"),
        ("epochs", ""),
        ("objective_grace", "val/mAP after 2 epochs"),
        ("objective_best", "val/mAP, as far as trained"),
    ]
    assert events.Scalars("epochs")[-1].value == 3
    assert [event.step for event in events.Scalars("objective_grace")] == [2]
    assert "objective_complete" not in events.Tags()["scalars"]


def test_a_trial_that_goes_on_has_each_epoch_once(tmp_path: Path) -> None:
    first = TrialEventFiles(tmp_path, config_of())
    first.start(0, VALUES)
    first.add_epoch(0, scalars(1))
    first.add_epoch(0, scalars(2))
    (file,) = (tmp_path / "trial-00000").iterdir()
    with file.open("ab") as torn:
        torn.write(b"\x99\x01\x00")  # what a kill leaves of a record
    second = TrialEventFiles(tmp_path, config_of())
    second.start(0, VALUES, [scalars(1), scalars(2)])
    second.add_epoch(0, scalars(3))
    second.end(0, "complete")
    events = read(tmp_path / "trial-00000")
    assert [event.step for event in events.Scalars("val/mAP")] == [1, 2, 3]
    assert [event.step for event in events.Scalars("objective")] == [1, 2, 3]
    assert len(list((tmp_path / "trial-00000").iterdir())) == 1
    first.close()


def test_several_folds_have_names_of_their_own_and_one_objective(tmp_path: Path) -> None:
    event_files = TrialEventFiles(tmp_path, config_of(folds=["Fold1", "Fold2"]))
    event_files.start(0, VALUES)
    event_files.add_epoch(0, scalars(1, "Fold1", 1))
    event_files.add_epoch(0, scalars(1, "Fold2", 5))
    event_files.end(0, "complete")
    events = read(tmp_path / "trial-00000")
    assert [event.step for event in events.Scalars("Fold2/val/mAP")] == [1]
    assert [event.step for event in events.Scalars("objective")] == [1, 5]
    assert "Fold2/val/mAP" in {i.name.tag for i in hparams(events, metadata.EXPERIMENT_TAG).experiment.metric_infos}


def test_seeds_too(tmp_path: Path) -> None:
    raw = config_of(folds=["Fold1", "Fold2"]).to_dict()
    raw["search"]["seeds"] = [3, 4]
    event_files = TrialEventFiles(tmp_path, parse_config(raw))
    event_files.start(0, VALUES)
    event_files.add_epoch(0, scalars(1, "Fold2", 5, seed=4))
    event_files.end(0, "complete")
    events = read(tmp_path / "trial-00000")
    assert [event.step for event in events.Scalars("Fold2/seed-4/val/mAP")] == [1]
    named = {i.name.tag for i in hparams(events, metadata.EXPERIMENT_TAG).experiment.metric_infos}
    assert {"Fold1/seed-3/val/mAP", "Fold2/seed-4/val/mAP"} <= named
