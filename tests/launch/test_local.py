"""Connections to Ray: nothing of ours is left behind, and a missing cluster is said clearly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch import local
from launch.local import connection
from owkd.errors import UserError

ROOT = Path(__file__).parents[2]

LOCAL = """
import os, ray, subprocess, sys
from pathlib import Path
from launch.local import _descendants, _hold, _local, connection

left, held = Path("/tmp/owkd-1-killed"), Path("/tmp/owkd-2-alive")
for path in (left, held):
    path.mkdir(exist_ok=True)
handle = _hold(held)
with _local(cpus=1):
    assert ray.cluster_resources()["CPU"] == 1
    assert len(_descendants()) > 1
    assert os.environ["RAY_AUTH_MODE"] == "token"
    (folder,) = Path("/tmp").glob(f"owkd-{os.getpid()}-*")
    address = ray.get_runtime_context().gcs_address
    other = subprocess.run([sys.executable, "-c", OTHER % address], capture_output=True, text=True)
    assert other.stdout.split()[-1] == "1.0", other.stderr
    assert ray.cluster_resources()["CPU"] == 1  # the other driver left and took nothing along
assert not _descendants()
assert not folder.exists()
assert not left.exists()
assert held.exists()
held.rmdir()
print("clean")
"""

OTHER = """
import ray
from launch.local import connection
with connection(%r)():
    print(ray.cluster_resources()["CPU"])
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=110, check=False
    )


def test_a_ray_of_our_own_leaves_neither_process_nor_file() -> None:
    done = run(f"OTHER = {OTHER!r}{LOCAL}")
    assert done.stdout.split()[-1:] == ["clean"], done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "nowhere.invalid:6379", "ray://127.0.0.1:1", "host"])
def test_an_address_without_a_cluster_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="--address must name a running Ray cluster") as refused:
        connection(address)().__enter__()
    assert address in str(refused.value)


@pytest.mark.parametrize("name", ["_local", "_attached"])
def test_a_connection_is_only_opened_when_it_is_entered(name: str) -> None:
    opened = connection(None if name == "_local" else "somewhere:6379")
    assert getattr(opened, "func", None) is getattr(local, name)
