"""A teacher's file holds every member's best epoch on validation, not its last one."""

from pathlib import Path

import pytest
import torch

from owkd.models.checkpoint import load_model
from owkd.training.teacher import TeacherPhase, train_teacher
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

# What validation says of each epoch: the best one is never the last, and another one for each member.
VALIDATION = {
    "val/original_mAP": (0.2, 0.6, 0.4, 0.5),
    "val/attention_mAP": (0.3, 0.1, 0.7, 0.7),
    "val/mAP": (0.8, 0.2, 0.4, 0.3),
}
BEST = {"original": 2, "attention": 3, "gce": 1}
"""1-based; of equals the earliest"""


def test_each_member_is_that_of_its_best_epoch(root: Path, tmp_path: Path, monkeypatch) -> None:
    """Validation is scripted: how a training of a few steps comes out differs from processor to processor."""
    weights: dict[tuple[str, int], dict[str, torch.Tensor]] = {}

    def validate(task: TeacherPhase) -> dict[str, float]:
        epoch = 1 + sum(member == task.phase.members[0] for member, _ in weights)
        for name, member in task.members.items():
            weights[name, epoch] = {key: value.clone() for key, value in member.state_dict().items()}
        return {name: values[epoch - 1] for name, values in VALIDATION.items()}

    monkeypatch.setattr(TeacherPhase, "validate", validate)
    stage = {"epochs": 4, "batch_size": 8}
    config = small_config(root, teacher={"backbones": stage, "gce": stage})
    model = load_model(train_teacher(config, lambda epoch: None, fold="Fold1", out=tmp_path / "t.safetensors"))[0]
    for name, best in BEST.items():
        kept, last = getattr(model, name).state_dict(), weights[name, 4]
        assert any(not torch.equal(weights[name, best][key], last[key]) for key in last), name
        assert all(torch.equal(kept[key], weights[name, best][key]) for key in kept), name
