"""What a Ray of our own sweeps from the temporary folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from launch import local_ray


def test_only_folders_with_the_name_of_ours_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_ray, "TEMPORARY", tmp_path)
    tempfile.mkdtemp(prefix=f"owkd-{os.getpid()}-", dir=tmp_path)
    theirs = ("owkd-0.1.0-runs", "owkd-my-data", "owkd-2-data", "owkd-2-abcdefgh-copy")
    for name in theirs:
        (tmp_path / name).mkdir()
    local_ray.remove_leftovers()
    assert {path.name for path in tmp_path.iterdir()} == set(theirs)
