"""The room that a search asks for before its first trial is what it then takes."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from launch.doctor import require_room
from owkd.config import with_values
from owkd.data.images import load_images
from owkd.data.index import read_split
from owkd.errors import UserError
from owkd.training.target_building import targets_for
from owkd.training.targets import plan_targets
from search.execution.teacher_targets import wanted
from search.planning.room import Room, rooms
from search.storage.address import Address
from tests.support.small_training import root as root
from tests.support.small_training import small_config

Usage = namedtuple("Usage", "total used free")
SEARCH = {"space": {"distill.gram": {"type": "float", "low": 0.0, "high": 1.0}}, "trials": 4}


@pytest.fixture
def config(root: Path, tmp_path: Path):
    """Its own cache, and gram off in the configuration itself, though trials may switch it on."""
    config = small_config(root, search={**SEARCH, "scheduler": {"name": "none"}})
    return with_values(config, {"data.cache": str(tmp_path / "cache"), "distill.gram": 0.0})


def by_purpose(found: tuple[Room, ...]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for room in found:
        sums[room.purpose] = sums.get(room.purpose, 0) + room.wanted
    return sums


def test_it_is_what_is_written(config, tmp_path: Path) -> None:
    import torch

    asked = by_purpose(rooms(config, Address(str(tmp_path / "runs" / "small")), 1))
    images = [read_split(config.data.root, config.data.dataset, "Fold1", split) for split in ("train", "validation")]
    decoded = [load_images(split, config.data.image_size, config.data.cache) for split in images]
    assert asked["decoded images"] == sum(array.nbytes for array in decoded)
    plan = plan_targets(wanted(config), "Fold1", images[0])
    assert targets_for(plan, decoded[0], torch.device("cpu"), "stored", lambda line: None)
    files = (tmp_path / "cache").rglob("*.bin")
    assert asked["the teacher's targets"] == sum(file.stat().st_size for file in files) > 0
    assert asked["checkpoints and tables"] > 0


def test_a_full_disk_is_named_before_anything_starts_and_what_is_there_counts(
    config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Address(str(tmp_path / "runs" / "small"))
    require_room(config, run)
    total = sum(room.wanted for room in rooms(config, run, 2))
    held = next(room for room in rooms(config, run, 2) if room.purpose == "the teacher's targets")
    stored = with_values(config, {"teacher.targets.use": "stored"})
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(10**12, 0, total - held.wanted // 2))
    with pytest.raises(
        UserError, match=r"(?s)this machine.*must have room for.*targets.*make room, or set.*targets.folder"
    ):
        require_room(stored, run)
    folder = Path(held.held[0])
    folder.mkdir(parents=True)
    (folder / "flow-1.bin").write_bytes(b"x" * held.wanted)
    require_room(stored, run)
