"""What a student costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from owkd.config import COST_METRICS, MetricName
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.training.cost import student_costs
from owkd.training.reduction import EpochRule
from owkd.training.run import run
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
ALL = COST_METRICS


def student(**changes) -> WseNet:
    torch.manual_seed(0)
    return WseNet(replace(architecture("nano"), **changes), 8, 32, "student")


def multiply_adds(model: WseNet, size: int) -> int:
    """Of convolutions and linear layers, by hooks that know only shapes."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module.weight, nn.Parameter)
        per_output = module.weight[0].numel()
        total += output.numel() * per_output

    hooks = [
        m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Conv1d | nn.Linear)
    ]
    with torch.no_grad():
        model.eval().embed(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total


def test_every_cost_of_the_table_is_measured() -> None:
    measured = student_costs(student(), 32, CPU, ALL)
    assert set(measured) == {"latency_ms", "parameters", "flops"} == set(ALL)


def test_operations_are_those_that_the_layers_do() -> None:
    model = student()
    counted = student_costs(model, 32, CPU, ALL)["flops"]
    layers = 2 * multiply_adds(model, 32)
    assert layers > 0
    assert layers <= counted <= 1.1 * layers  # attention and the like multiply matrices outside of layers


def test_a_deeper_student_costs_more_and_the_weights_are_counted_as_the_final_table_does() -> None:
    shallow, deep = student(), student(depths=(2, 2, 4, 2))
    cheap, dear = (student_costs(model, 32, CPU, ALL) for model in (shallow, deep))
    assert cheap["parameters"] == shallow.parameter_count()
    assert all(dear[name] > cheap[name] for name in ("parameters", "flops"))
    assert 0 < cheap["latency_ms"] < 10_000


def test_latency_is_the_median_of_the_timed_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that ticks 1 s a reading, and 1000 s in the passes before: only those after the warm-up count."""
    readings = iter([*(1000.0 * i for i in range(6)), *(10_000.0 + i for i in range(40))])
    monkeypatch.setattr("owkd.training.cost.time.perf_counter", lambda: next(readings))
    assert student_costs(student(), 32, CPU, ("latency_ms",)) == {"latency_ms": 1000.0}


def test_only_what_is_asked_for_is_measured_and_no_random_number_is_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = student()
    torch.manual_seed(5)
    assert student_costs(model, 32, CPU, ("val/mAP", "parameters")).keys() == {"parameters"}
    student_costs(model, 32, CPU, ALL)
    assert torch.equal(torch.rand(3), expected)


def test_costs_are_columns_that_an_interruption_does_not_change(root: Path, tmp_path: Path) -> None:
    """Latency differs with every measurement, so that the one before the first epoch must be kept."""
    once, twice = (small_config(root, train={"epochs": epochs}) for epochs in (1, 2))
    costs: tuple[MetricName, ...] = ("latency_ms", "flops")
    first = run(once, fold="Fold1", directory=tmp_path / "a", costs=costs)
    rest = run(twice, fold="Fold1", directory=tmp_path / "a", costs=costs).history
    assert first.history[0].metrics.keys() >= {"latency_ms", "flops"}
    assert "parameters" not in rest[0].metrics
    assert rest[1].metrics["latency_ms"] == rest[0].metrics["latency_ms"] == first.history[0].metrics["latency_ms"]
    without = run(twice, fold="Fold1", directory=tmp_path / "b").history
    assert "latency_ms" not in without[0].metrics
    assert [epoch.metrics["loss/total"] for epoch in without] == [epoch.metrics["loss/total"] for epoch in rest]


@pytest.mark.parametrize(("reduction", "kept"), [("best", 0), ("last", 2), ("mean of last 2", 2)])
def test_the_model_that_is_kept_is_the_one_that_the_rule_names(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reduction: str, kept: int
) -> None:
    """Validation falls from epoch to epoch: the best is the first."""
    values = iter([0.9, 0.5, 0.4])
    monkeypatch.setattr("owkd.training.run.validation_metrics", lambda *given: {"val/mAP": next(values)})
    saved: list[bool] = []

    def save(model: WseNet, path: Path, **given: object) -> None:
        saved.append(model.gce.training)
        path.write_bytes(b"model")

    monkeypatch.setattr("owkd.training.run.save_model", save)
    config = small_config(root, train={"epochs": 3})
    result = run(config, fold="Fold1", directory=tmp_path, keep=EpochRule(reduction=reduction))
    assert result.best is result.history[kept]
    assert len(saved) == (1 if reduction == "best" else 3)


def test_another_metric_keeps_another_epoch(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([{"val/mAP": 0.9, "val/mINP": 0.1}, {"val/mAP": 0.5, "val/mINP": 0.2}])
    monkeypatch.setattr("owkd.training.run.validation_metrics", lambda *given: next(values))
    config = small_config(root, train={"epochs": 2})
    result = run(config, fold="Fold1", directory=tmp_path, keep=EpochRule("val/mINP"))
    assert result.best.epoch == 2


@pytest.mark.gpu
def test_latency_on_a_gpu_waits_for_the_device() -> None:
    found = student_costs(student().cuda(), 32, torch.device("cuda"), ALL, autocast=True)
    assert found["latency_ms"] > 0.05
