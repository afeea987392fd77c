"""What a search asks of a training, by the section of the configuration that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from owkd.config import parse_config
from owkd.training.reduction import EpochRule
from search.execution.worker import train_student
from tests.support.fake_training import fake_config

pytestmark = pytest.mark.numeric


def test_the_training_gets_the_rule_and_the_costs_of_its_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("owkd.training.run.run", lambda config, report, **given: asked.update(given))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: asked.update(threads=count))
    goals = [{"metric": "val/mINP", "reduction": "last"}, {"metric": "flops", "reduction": "last"}]
    search = {"objectives": goals, "constraints": ["latency_ms <= 5"], "resources": {"cpu": 3, "gpu": 0}}
    config = parse_config(fake_config(tmp_path, **search))
    train_student(config, fold="Fold1", directory=tmp_path, seed=7)
    assert asked == {
        "threads": 3,
        "fold": "Fold1",
        "directory": tmp_path,
        "seed": 7,
        "keep": EpochRule("val/mINP", "last"),
        "costs": ("flops", "latency_ms"),
    }
