"""What a Ray of our own sweeps from the temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from launch import local_ray

PROGRAM = Path(__file__).parent / "programs" / "local_ray_on_one_cpu.py"


def test_a_process_on_one_cpu_trains_one_at_a_time() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, PROGRAM], env=environment, capture_output=True, text=True, timeout=110)
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
    assert local_ray.gpus_to_use() == expected


def test_only_folders_with_the_name_of_ours_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_ray, "TEMPORARY", tmp_path)
    tempfile.mkdtemp(prefix=f"owkd-{os.getpid()}-", dir=tmp_path)
    theirs = ("owkd-0.1.0-runs", "owkd-my-data", "owkd-2-data", "owkd-2-abcdefgh-copy")
    for name in theirs:
        (tmp_path / name).mkdir()
    local_ray.remove_leftovers()
    assert {path.name for path in tmp_path.iterdir()} == set(theirs)
