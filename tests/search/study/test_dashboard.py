"""Optuna's own dashboard opens the study of a run, by the command that the documentation gives."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from owkd.config import parse_config
from search.study.study import Study
from search.trials.view import Ending
from tests.support.handed_out import next_proposal


def test_the_dashboard_shows_the_study(tmp_path: Path):
    config = parse_config(
        {
            "data": {"root": "/data", "dataset": "D"},
            "search": {
                "space": {
                    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
                    "distill.teacher_weights": {"type": "simplex"},
                }
            },
        }
    )
    journal = tmp_path / "study.journal"
    study = Study(journal, "shown", config)
    weights = {}
    for value in (0.25, 0.5):
        proposal = next_proposal(study)
        number = proposal.number
        weights[number] = proposal.values["distill.teacher_weights"]
        study.started(number)
        study.report(number, 1, value)
        study.finish(number, Ending("pruned"))

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["--storage-class", "JournalFileStorage", "--port", str(port), str(journal)]
    dashboard = Path(sys.executable).with_name("optuna-dashboard")
    process = subprocess.Popen([dashboard, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        studies = _get(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert [found["study_name"] for found in studies] == ["shown"]
        detail = _get(f"http://127.0.0.1:{port}/api/studies/{studies[0]['study_id']}")
        assert [trial["state"] for trial in detail["trials"]] == ["Pruned", "Pruned"]
        assert detail["objective_names"] == ["val/mAP"], "not Objective 0"
        sortable = {attr["key"] for attr in detail["union_user_attrs"] if attr["sortable"]}
        assert {f"distill.teacher_weights.{name}" for name in ("original", "attention", "gce")} <= sortable
        shown = {attr["key"]: attr["value"] for attr in detail["trials"][0]["user_attrs"]}
        assert float(shown["distill.teacher_weights.gce"]) == weights[0]["gce"]
        assert [trial["intermediate_values"][0]["value"] for trial in detail["trials"]] == [0.25, 0.5]
    finally:
        process.terminate()
        process.wait(timeout=20)


def _get(url: str) -> dict:
    deadline = time.monotonic() + 60
    while True:
        try:
            return json.loads(urllib.request.urlopen(url).read())
        except OSError:
            assert time.monotonic() < deadline, f"nothing answers at {url}"
            time.sleep(0.2)
