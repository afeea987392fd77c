"""A store of runs, and a node that joins late, get the same look as any; a node needs nothing of ours to answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from s3_server import objects
from s3_server import s3 as s3
from small_training import small_config

from launch.doctor import node_facts
from launch.doctor.node_facts import FAILED
from launch.doctor.preflight import examine_here, late_look, question_about
from owkd.errors import UserError
from search.storage.address import Address
from search.storage.object_store import ObjectStore

ROOT = Path(__file__).parents[3]


def test_a_store_is_written_to_and_left_empty(s3: str) -> None:
    report = examine_here(None, Address.of(f"{s3}/doctor/runs"))
    assert report.faults == ()
    assert report.nodes[0].facts is not None
    assert report.nodes[0].facts["files"]["storage"].startswith("node-")
    assert objects(f"{s3}/doctor") == {}


def test_a_store_that_takes_nothing_is_refused(s3: str) -> None:
    with pytest.raises(UserError, match=r"place of runs must be writable, but got s3://no-such-bucket.*credentials"):
        examine_here(None, Address.of("s3://no-such-bucket/runs"))


def test_a_run_in_a_store_must_be_seen_by_a_late_node(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = f"{s3}/late/runs/fake"
    nothing: node_facts.Question = {"data": None, "teachers": (), "storage": (run, "run.yaml", ""), "gpus": False}
    monkeypatch.setattr(node_facts, "STORAGE_WAIT_S", 0.0)
    assert node_facts.look(nothing)["files"]["storage"].startswith(FAILED)
    ObjectStore.at(Address.of(run)).write("run.yaml", b"config: {}")
    assert node_facts.look(nothing)["files"]["storage"].startswith("node-")
    assert set(objects(run)) == {"run.yaml"}


ON_A_NODE = """
import pickle, sys
import ray
for name in sys.argv[2:]:  # as if they were not installed, or something else of that name
    sys.modules[name] = None
ray.get_gpu_ids = list
ray.util.get_node_ip_address = lambda: "10.0.0.9"
print(pickle.loads(open(sys.argv[1], "rb").read())())
"""


def told_by(look: bytes, tmp_path: Path, *absent: str) -> str:
    """What a process says that is given a look by its source alone."""
    (tmp_path / "look").write_bytes(look)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ON_A_NODE, str(tmp_path / "look"), *absent]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_late_node_is_asked_by_source_alone(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "small"
    run.mkdir(parents=True)
    (run / "run.yaml").write_text("config: {}")
    config = small_config(root)
    expected = node_facts.look(question_about(config, None, gpus=False))
    look = late_look(config, Address.of(run), expected)
    assert told_by(look, tmp_path) == ""
    said = told_by(look, tmp_path, "launch", "owkd", "search")
    assert "(10.0.0.9): data Fold1/train must be readable, but" in said
    assert "put it under the same path there" in said
    (run / "run.yaml").unlink()
    assert "the place of runs must be one that every node reads and writes" in told_by(look, tmp_path)
