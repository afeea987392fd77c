"""A store of runs, and a node that joins late, are examined as any other; a node needs nothing of ours to answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.doctor import examine_this_machine
from launch.doctor.node_facts import FAILED, gather_facts
from launch.doctor.node_survey import DoctorTimings
from launch.doctor.preflight import make_question, pickled_check
from owkd.errors import UserError
from search.storage.address import Address
from search.storage.object_store import ObjectStore
from tests.support.s3_server import objects
from tests.support.s3_server import s3 as s3
from tests.support.small_training import small_config

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).parents[1] / "programs" / "check_as_node.py"


def test_a_store_is_written_to_and_left_empty(s3: str) -> None:
    report = examine_this_machine(None, Address.of(f"{s3}/doctor/runs"))
    assert report.faults == ()
    assert report.nodes[0].facts is not None
    assert report.nodes[0].facts["files"]["storage"].startswith("node-")
    assert objects(f"{s3}/doctor") == {}


def test_a_store_that_takes_nothing_is_refused(s3: str) -> None:
    with pytest.raises(UserError, match=r"place of runs must be writable, but got s3://no-such-bucket.*credentials"):
        examine_this_machine(None, Address.of("s3://no-such-bucket/runs"))


def test_a_run_in_a_store_must_be_seen_by_a_late_node(s3: str) -> None:
    run = f"{s3}/late/runs/fake"
    at_once = DoctorTimings(storage_s=0.0)
    question = make_question(None, (run, "run.yaml", ""), gpus=False, timings=at_once)
    assert gather_facts(question)["files"]["storage"].startswith(FAILED)
    ObjectStore.at(Address.of(run)).write("run.yaml", b"config: {}")
    assert gather_facts(question)["files"]["storage"].startswith("node-")
    assert set(objects(run)) == {"run.yaml"}


def result_on_a_node(check: bytes, tmp_path: Path, *absent: str) -> str:
    """What a process returns that is given a check by its source alone."""
    (tmp_path / "check").write_bytes(check)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command: list[str | Path] = [sys.executable, PROGRAM, tmp_path / "check", *absent]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_late_node_is_asked_by_source_alone(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "small"
    run.mkdir(parents=True)
    (run / "run.yaml").write_text("config: {}")
    config = small_config(root)
    expected = gather_facts(make_question(config, None, gpus=False))
    check = pickled_check(config, Address.of(run), expected)
    assert result_on_a_node(check, tmp_path) == ""
    result = result_on_a_node(check, tmp_path, "launch", "owkd", "search")
    assert "(10.0.0.9): data Fold1/train must be readable, but" in result
    assert "put it under the same path there" in result
    (run / "run.yaml").unlink()
    assert "the place of runs must be one that every node reads and writes" in result_on_a_node(check, tmp_path)
