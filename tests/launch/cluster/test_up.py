"""A cluster that was started: how its workers are waited for."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from launch.cluster import ClusterTimings, await_workers, head
from launch.cluster.file import template
from launch.cluster.head import Head
from owkd.errors import OwkdError

NO_PAUSE = ClusterTimings(workers_poll_s=0.0)


@pytest.fixture
def cluster_file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(template("local"))
    return path


@pytest.fixture
def joining(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many workers are alive at each look; the last stays. -1: the head does not answer yet."""
    looks: list[int] = []

    def nodes(head: Head) -> list[dict[str, object]]:
        workers = looks.pop(0) if len(looks) > 1 else looks[0]
        if workers < 0:
            raise OwkdError("not yet")
        dead = {"is_head_node": False, "state": "DEAD"}
        return [{"is_head_node": True, "state": "ALIVE"}, dead, *[dead | {"state": "ALIVE"}] * workers]

    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setattr(head, "_tunnel", lambda path, wait_s: nullcontext("http://127.0.0.1:1"))
    monkeypatch.setattr(Head, "nodes", nodes)
    return looks


def test_up_waits_for_a_worker(joining: list[int], cluster_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joining += [-1, 0, 0, 1, 2]
    await_workers(cluster_file, NO_PAUSE)
    assert joining == [2]
    assert "workers that have joined: 1\n" in capsys.readouterr().out


def test_up_waits_for_as_many_as_the_file_says(joining: list[int], cluster_file: Path) -> None:
    cluster_file.write_text("min_workers: 2\n" + cluster_file.read_text())
    joining += [1, 1, 2, 3]
    await_workers(cluster_file, NO_PAUSE)
    assert joining == [3]


def test_up_says_that_no_worker_came(
    joining: list[int], cluster_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joining.append(0)
    await_workers(cluster_file, replace(NO_PAUSE, workers_s=0.05))
    assert "workers that have joined: 0; a search needs one" in capsys.readouterr().out


def test_a_cloud_is_not_waited_for(joining: list[int], cluster_file: Path) -> None:
    cluster_file.write_text(template("aws"))
    joining.append(0)
    await_workers(cluster_file, NO_PAUSE)
    assert joining == [0]
