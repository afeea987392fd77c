"""A data set and a teacher small enough that an epoch takes a moment."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from owkd.config import Config, parse_config
from owkd.data.synthetic import write_dataset
from owkd.training.teacher import train_teacher


def small_config(root: Path, **sections: Mapping[str, object]) -> Config:
    """16 people, 32 px, the smallest networks."""
    raw: dict[str, dict[str, object]] = {
        "data": {"root": str(root), "dataset": "Synthetic_thermal", "image_size": 32},
        "teacher": {
            "checkpoint": str(root / "teacher-{fold}.safetensors"),
            "preset": "nano",
            "schedule": "two_stage",
            "backbones": {"epochs": 1, "batch_size": 8},
            "gce": {"epochs": 1, "batch_size": 8},
        },
        "student": {"preset": "nano"},
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "device": "cpu", "threads": 1},
    }
    for name, values in sections.items():
        raw[name] = {**raw.get(name, {}), **values}
    return parse_config(raw)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with the teacher of Fold1 beside it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("training")
    write_dataset(folder, identities=16, images=4, size=32, seed=0)
    config = small_config(folder)
    train_teacher(config, lambda epoch: None, fold="Fold1", out=config.teacher.checkpoint_for("Fold1"))
    return folder
