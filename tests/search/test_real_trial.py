"""A search with real training: what the stand-in of the other tests stands in for."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from owkd.config import parse_config
from owkd.data.synthetic import DATASET, write_dataset
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.training.run import run
from search.results.tables import read_epochs
from search.run_search import search
from search.runs.layout import RunFolder, trial_name
from search.space.parameters import single
from search.teaching import STUDENT, TEACHER, TeachingTables

pytestmark = pytest.mark.numeric


def test_a_trial_gives_the_numbers_of_the_same_training_in_another_process(tmp_path: Path, connect) -> None:
    write_dataset(tmp_path / "data", identities=16, images=4, size=64)
    classes = len(list((tmp_path / "data" / DATASET / "Fold1" / "train" / "allcam").iterdir()))
    torch.manual_seed(1)
    save_model(WseNet(architecture("nano"), classes, 64, "teacher"), tmp_path / "teacher.safetensors")
    config = parse_config(
        {
            "name": "real",
            "data": {"root": str(tmp_path / "data"), "dataset": DATASET, "image_size": 64},
            "teacher": {"checkpoint": str(tmp_path / "teacher.safetensors")},
            "student": {"preset": "nano", "depths": [1, 1, 1, 1]},
            "train": {"epochs": 2, "batch_size": 8},
            "search": {
                "trials": 2,
                "scheduler": {"name": "none"},
                "resources": {"cpu": 1, "gpu": 0},
                "space": {"distill.teacher_weights": {"type": "simplex"}, "distill.stage_weights": {"type": "simplex"}},
            },
        }
    )
    summary = search(config, tmp_path / "runs" / "real", connect=connect, console=Console(file=io.StringIO()))
    assert summary.counts == {"complete": 2}
    rows = read_epochs(summary.folder.results).to_pylist()

    torch.set_num_threads(1)
    best = summary.best
    assert best is not None
    again = run(single(config, best.values), fold="Fold1", directory=tmp_path / "again")
    trial = [row for row in rows if row["trial"] == best.number]
    varying = ("duration_s", "images_per_second", "gpu_memory_peak_bytes")
    for epoch, row in zip(again.history, trial, strict=True):
        assert {k: v for k, v in epoch.metrics.items() if k not in varying} == {
            k: v for k, v in row.items() if k in epoch.metrics and k not in varying
        }

    # the teacher is set beside the very model that trial 1 was judged by, member by member
    tables = TeachingTables(summary.folder.results)
    assert list(tables.figures(TEACHER)["Fold1"]) == ["original", "attention", "gce"]
    student = tables.figures(STUDENT)["Fold1"]["gce"]
    assert student in [row["val/mAP"] for row in rows if row["trial"] == 1]
    assert [lead.student for lead in tables.leads(0.015) if lead.member == "gce"] == pytest.approx([student])
    assert len(summary.teaching) == 2

    events = EventAccumulator(str(summary.folder.tensorboard / "trial-00000")).Reload()
    tags = set(events.Tags()["scalars"])
    assert tags >= {f"stage_weight/{i}" for i in range(1, 5)} | {"val/mAP", "val/rank-1", "loss/total", "learning_rate"}
    assert tags >= set(again.history[0].metrics)
    assert best.objective is not None
    _assert_pictures(summary.folder, best.number, best.objective)


def _assert_pictures(folder: RunFolder, number: int, best: float) -> None:
    """Of the best trial: in TensorBoard and as files, on the validation split that gave its objective."""
    events = EventAccumulator(str(folder.tensorboard / trial_name(number)), size_guidance={"images": 0}).Reload()
    assert set(events.Tags()["images"]) == {"pictures/retrieval", "pictures/cmc", "pictures/precision_recall"}
    (event,) = events.Images("pictures/retrieval")
    picture = Image.open(io.BytesIO(event.encoded_image_string))
    assert (event.width, event.height) == picture.size
    assert (folder.panels / trial_name(number) / "retrieval.png").read_bytes() == event.encoded_image_string
    curves = json.loads((folder.panels / trial_name(number) / "curves.json").read_text())
    assert curves["mAP"] == best
    assert len(curves["cmc"]) == 20
    assert len(curves["precision"]) == 101
