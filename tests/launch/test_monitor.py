"""`owkd monitor` as people use it: the command is started, and a browser looks at what it serves."""

from __future__ import annotations

import io
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from launch.cli import run_command
from owkd.config import parse_config
from search.runs.layout import RunFolder, trial_name
from search.runs.manifest import create
from search.tensorboard.event_file import EventFile
from search.tensorboard.summary import EndedTrial, SearchEventFile
from search.tensorboard.trials import TrialEventFiles
from search.trials.listener import EpochRecord
from tests.support.browser import needs_chromium, open_page
from tests.support.listeners import family, listening
from tests.support.monitored import monitored

TRIALS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with the event files of six trials, pictures of one, and the search's own."""
    config = parse_config(
        {
            "data": {"root": "/data", "dataset": "D"},
            "search": {
                "space": {
                    "distill.teacher_weights": {"type": "simplex"},
                    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
                }
            },
        }
    )
    folder = create(tmp_path_factory.mktemp("runs") / "watched", config, {})
    event_files = TrialEventFiles(folder.tensorboard, config)
    weights = {"original": 0.5, "attention": 1.0, "gce": 1.5}
    for number in range(TRIALS):
        event_files.start(number, {"distill.teacher_weights": weights, "distill.gram": 1e-4 * (number + 1)})
        for epoch in (1, 2):
            value = (number + epoch) / 10
            metrics = {"val/mAP": value, "loss/total": 1 / value, "stage_weight/1": 1.0, "images_per_second": 50.0}
            event_files.add_epoch(number, EpochRecord("Fold1", 0, epoch, epoch, value, value, metrics, time.time()))
        event_files.end(number, "complete")
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "gray").save(buffer, "png")
    pictures = EventFile(folder.tensorboard / trial_name(TRIALS - 1))
    pictures.add_image("pictures/retrieval", buffer.getvalue())
    pictures.close()
    SearchEventFile(folder.tensorboard, "max", [EndedTrial("complete", datetime.now(UTC), 0.5)], slots=2).close()
    return folder


@pytest.fixture(scope="module")
def address(folder: RunFolder) -> Iterator[str]:
    """Where the command serves."""
    with monitored(str(folder.root), runs=TRIALS + 1) as served:
        yield served


def test_it_serves_every_trial_and_the_search(address: str) -> None:
    tags = json.loads(urllib.request.urlopen(f"{address}/data/plugin/scalars/tags").read())
    assert set(tags) == {*map(trial_name, range(TRIALS)), "search"}
    assert {"val/mAP", "loss/total", "stage_weight/1", "objective_best"} <= set(tags["trial-00000"])
    assert {"best_so_far", "trials/complete"} <= set(tags["search"])


def test_it_is_heard_by_this_machine_alone(address: str) -> None:
    sockets = listening(family(os.getpid()) - {os.getpid()})
    assert int(address.rpartition(":")[2]) in {port for _, port in sockets}
    assert {host for host, _ in sockets} == {"127.0.0.1"}


@needs_chromium
def test_a_browser_finds_hyperparameters_scalars_and_pictures(address: str) -> None:
    problems: list[str] = []
    with open_page(problems) as page:
        page.goto(f"{address}/#hparams")
        for number in range(TRIALS):
            page.get_by_text(trial_name(number)).first.wait_for()
        page.get_by_text("distill.teacher_weights.gce").first.wait_for()
        page.goto(f"{address}/#timeseries")
        page.reload()
        page.get_by_text("best_so_far").first.wait_for()
        page.goto(f"{address}/#images")
        page.reload()
        page.get_by_text("pictures/retrieval").first.wait_for()
    assert problems == []


def test_a_folder_without_event_files_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["monitor", str(tmp_path)]) == 2
    assert "tensorboard" in capfd.readouterr().err
