"""A Ray of our own: heard by this machine alone, gone without a trace, or refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import ray

from launch.connection import ConnectionTimings, local, local_ray
from owkd.errors import OwkdError

ROOT = Path(__file__).parents[3]
PROGRAMS = ROOT / "tests" / "launch" / "programs"


def test_it_listens_to_this_machine_alone_and_leaves_neither_process_nor_file(tmp_path: Path) -> None:
    command: list[str | Path] = [
        sys.executable,
        PROGRAMS / "local_ray_leaves_nothing.py",
        PROGRAMS / "second_driver.py",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout.split()[-1:] == ["clean"], done.stderr


def hangs(**options: Any) -> None:
    threading.Event().wait(30)


def fails(**options: Any) -> None:
    raise Exception("The current node timed out during startup.\nAnd much more.")  # as Ray does


@pytest.mark.parametrize(
    ("init", "words"), [(hangs, "Ray's start took longer than 0.05 s"), (fails, "timed out during startup")]
)
def test_a_ray_that_does_not_start_is_one_line_with_the_remedy(
    init: Any, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(local, "_places", lambda: [tmp_path])
    with pytest.raises(OwkdError, match=r"must start on this machine, but .*; see to the room") as refused:
        local_ray(timings=ConnectionTimings(start_s=0.05)).__enter__()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_the_first_place_that_can_be_written_to_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    used: list[str] = []
    monkeypatch.setattr(ray, "init", lambda **options: used.append(options["_temp_dir"]))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(local, "_places", lambda: [tmp_path / "missing", tmp_path])
    with local_ray():
        assert len(used) == 1
        assert Path(used[0]).parents[1] == tmp_path
    monkeypatch.setattr(local, "_places", lambda: [tmp_path / "missing"])
    with pytest.raises(OwkdError, match=r"missing: No such file or directory; make /tmp writable, or set TMPDIR"):
        local_ray().__enter__()


def test_what_a_session_sets_is_as_before_once_it_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ray._private import ray_constants

    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(local, "_places", lambda: [tmp_path])
    monkeypatch.setenv("RAY_enable_metrics_collection", "1")
    before = dict(os.environ), ray_constants.ENABLE_RAY_CLUSTER
    with local_ray():
        assert {name: os.environ[name] for name in local.LOOPBACK} == local.LOOPBACK
        assert not ray_constants.ENABLE_RAY_CLUSTER
    after = dict(os.environ)
    after.pop(local.TOKEN) if local.TOKEN not in before[0] else None
    assert (after, ray_constants.ENABLE_RAY_CLUSTER) == before


def test_a_process_on_one_cpu_trains_one_at_a_time() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command: list[str | Path] = [sys.executable, PROGRAMS / "local_ray_on_one_cpu.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout.split()[-2:] == ["1", "0"], done.stderr


@pytest.mark.parametrize(("variable", "expected"), [(None, None), ("", 0), ("0,2", 2), ("-1", 0)])
def test_gpus_are_those_that_cuda_lets_the_process_see(
    variable: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch asks CUDA itself, which also knows GPUs by their UUIDs."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: expected)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert local.gpus_to_use() == expected


def test_a_signal_while_ray_starts_ends_it_in_order() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command: list[str | Path] = [sys.executable, PROGRAMS / "signal_while_ray_starts.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout.split() == ["terminated", "143", "clean"], done.stderr
