"""Connections to Ray: nothing of ours is left behind, and a missing cluster is reported clearly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch import connection as connections
from launch import local_ray
from launch.connection import connection
from owkd.errors import UserError

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"


def test_a_ray_of_our_own_leaves_neither_process_nor_file() -> None:
    command: list[str | Path] = [
        sys.executable,
        PROGRAMS / "local_ray_leaves_nothing.py",
        PROGRAMS / "second_driver.py",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout.split()[-1:] == ["clean"], done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "nowhere.invalid:6379", "ray://127.0.0.1:1", "host"])
def test_an_address_without_a_cluster_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="--address must name a running Ray cluster") as refused:
        connection(address)().__enter__()
    assert address in str(refused.value)


@pytest.mark.parametrize(
    ("address", "opens"), [(None, local_ray.local_ray), ("somewhere:6379", connections._joined_cluster)]
)
def test_a_connection_is_only_opened_when_it_is_entered(address: str | None, opens: object) -> None:
    assert getattr(connection(address), "func", None) is opens
