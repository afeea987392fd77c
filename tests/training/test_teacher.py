"""Teacher training: both schedules, best epochs, exact resume, nothing left behind."""

from pathlib import Path

import pytest
import torch

from owkd.errors import CheckpointError, ConfigError
from owkd.models.checkpoint import load_model
from owkd.training.loop import Epoch
from owkd.training.teacher import phases, train_teacher
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric


def test_published_schedule_trains_backbones_then_gce(root: Path, tmp_path: Path) -> None:
    config = small_config(root, teacher={"backbones": {"epochs": 2, "batch_size": 8}})
    seen: list[Epoch] = []
    out = train_teacher(config, seen.append, fold="Fold1", out=tmp_path / "teacher.safetensors")
    assert [phase.name for phase in phases(config)] == ["backbones", "gce"]
    assert [epoch.epoch for epoch in seen] == [1, 2, 3]
    assert "loss/ce_original_saliency" in seen[0].metrics
    assert {name for name in seen[2].metrics if name.startswith("loss/")} == {
        "loss/ce_gce",
        "loss/triplet_gce",
        "loss/total",
    }
    model, info = load_model(out, role="teacher")
    assert info.origin == "Synthetic_thermal/Fold1"
    assert len(info.identities) == model.num_classes
    assert list(tmp_path.iterdir()) == [out]


def test_frozen_backbones_do_not_move_in_the_second_phase(root: Path, tmp_path: Path) -> None:
    short, long = (
        train_teacher(
            small_config(root, teacher={"gce": {"epochs": epochs, "batch_size": 8}}),
            lambda epoch: None,
            fold="Fold1",
            out=tmp_path / f"{epochs}.safetensors",
        )
        for epochs in (1, 2)
    )
    one, other = load_model(short)[0], load_model(long)[0]
    for net in ("original", "attention"):
        ours, theirs = getattr(one, net).state_dict(), getattr(other, net).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("schedule", ["two_stage", "joint"])
def test_stopped_and_resumed_equals_never_stopped(root: Path, tmp_path: Path, schedule: str) -> None:
    teacher = {"schedule": schedule, "backbones": {"epochs": 2, "batch_size": 8}}
    config = small_config(root, teacher=teacher)
    whole = train_teacher(config, lambda epoch: None, fold="Fold1", out=tmp_path / "whole.safetensors")

    def stop(epoch: Epoch) -> None:
        if not epoch.replayed:
            raise KeyboardInterrupt

    out = tmp_path / "parts.safetensors"
    for _ in range(sum(phase.recipe.epochs for phase in phases(config))):
        with pytest.raises(KeyboardInterrupt):
            train_teacher(config, stop, fold="Fold1", out=out)
        assert not out.exists()
    train_teacher(config, stop, fold="Fold1", out=out)
    assert out.read_bytes() == whole.read_bytes()


def test_a_teacher_starts_from_the_configured_weights(root: Path, tmp_path: Path) -> None:
    start = {"preset": "micro", "init": "imagenet", "init_file": str(tmp_path / "absent.pth")}
    with pytest.raises(CheckpointError, match=r"absent\.pth"):
        train_teacher(
            small_config(root, teacher=start), lambda epoch: None, fold="Fold1", out=tmp_path / "t.safetensors"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("phase", "size"), [("backbones", 1), ("backbones", 3), ("gce", 2)])
def test_batches_of_one_person_are_refused_under_the_name_of_their_own_field(
    root: Path, tmp_path: Path, phase: str, size: int
) -> None:
    config = small_config(root, teacher={phase: {"epochs": 1, "batch_size": size}})
    with pytest.raises(ConfigError, match=rf"teacher\.{phase}\.batch_size must be at least 4.* but got {size}"):
        train_teacher(config, lambda epoch: None, fold="Fold1", out=tmp_path / "teacher.safetensors")
    assert list(tmp_path.iterdir()) == []
