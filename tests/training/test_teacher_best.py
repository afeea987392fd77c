"""A teacher's file holds every member's best epoch on validation, not its last one."""

from pathlib import Path

import torch
from small_training import small_config

from owkd.evaluation.embed import embed_images
from owkd.models.checkpoint import load_model
from owkd.training.loop import Epoch
from owkd.training.prepare import open_fold, validation_metrics
from owkd.training.teacher import train_teacher

EPOCHS = 4


def test_each_member_is_that_of_its_best_epoch(root: Path, tmp_path: Path) -> None:
    """Learning rates so high that the last epoch is not the best one, which the first assertions make sure of."""
    stage = {"epochs": EPOCHS, "batch_size": 8, "learning_rate": 3e-2}
    config = small_config(root, teacher={"backbones": stage, "gce": stage})
    seen: list[Epoch] = []
    out = train_teacher(config, seen.append, fold="Fold1", out=tmp_path / "teacher.safetensors")
    history = {
        "original": [epoch.metrics["val/original_mAP"] for epoch in seen[:EPOCHS]],
        "attention": [epoch.metrics["val/attention_mAP"] for epoch in seen[:EPOCHS]],
        "gce": [epoch.metrics["val/mAP"] for epoch in seen[EPOCHS:]],
    }
    assert any(values[-1] < max(values) for values in history.values()), history
    data = open_fold(config, "Fold1")
    model = load_model(out)[0]
    members = {
        "original": lambda images: model.original(images).embedding,
        "attention": lambda images: model.attention(images).embedding,
        "gce": model.embed,
    }
    for name, embed in members.items():
        embeddings = embed_images(embed, data.validation_images, torch.device("cpu"))
        assert validation_metrics(embeddings, data.validation)["val/mAP"] == max(history[name]), name
