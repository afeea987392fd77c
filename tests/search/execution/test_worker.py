"""What a search asks of a training, by the section of the configuration that names it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from owkd.config import Config, parse_config
from owkd.training.reduction import EpochRule
from search.execution.worker import train_student, work
from search.trials.job import Job, Message, Part
from search.trials.listener import EpochRecord
from tests.support.fake_training import METRICS, Epoch, fake_config

pytestmark = pytest.mark.numeric


def test_why_a_training_started_anew_reaches_the_driver(tmp_path: Path) -> None:
    def train(config: Config, report: Any = None, *, fold: str, directory: Path, seed: int | None = None) -> Any:
        metrics = dict.fromkeys(METRICS, 0.5)
        for number in range(1, config.train.epochs + 1):
            report(Epoch(fold, 0, number, metrics, False, "started anew: last.pt is damaged" * (number == 1)))

    config = parse_config(fake_config(tmp_path))
    job = Job("trial-00000", config.to_dict(), (Part("Fold1", 0),), str(tmp_path / "trial-00000"))
    sent: list[Message] = []
    work(asdict(job), train=train, send=sent.append)
    assert [message.note for message in sent] == ["started anew: last.pt is damaged", "", "", ""]
    assert EpochRecord.of(sent[0], 0.5, is_new=True).note == sent[0].note


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
