"""The published formulation is a faithful second one, and every benchmark runs and says what it should."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import bench_loss, bench_openmp, bench_ranking, bench_step, measure, reference
from owkd.models.gce import GceBlock
from owkd.models.outputs import EnsembleOutput
from owkd.models.presets import architecture
from owkd.training.prepare import build_network

TINY = bench_step.Sizes(
    teacher="nano", student="nano", image_size=32, identities=5, steps=2, reference_steps=1, threads=1
)
SHAPES = bench_loss.Shapes(stages=((8, 8), (6, 4), (12, 2), (16, 1)), gce=(33, 1), batch=3, identities=5)
RANKING = bench_ranking.Sizes(queries=60, images=200, dimensions=128, identities=20)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of its own for every candidate: each would load torch anew."""

    def here(function: Callable[..., Any], *arguments: object) -> tuple[Any, int]:
        return function(*arguments), measure.memory_peak()

    monkeypatch.setattr(measure, "in_new_process", here)


def parts(output: EnsembleOutput) -> dict[str, torch.Tensor]:
    found = {}
    for member in dataclasses.fields(output):
        for field in dataclasses.fields(part := getattr(output, member.name)):
            value = getattr(part, field.name)
            for index, tensor in enumerate(value if isinstance(value, tuple) else (value,)):
                if tensor is not None:
                    found[f"{member.name}.{field.name}.{index}"] = tensor
    return found


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_the_plain_networks_are_our_networks(role) -> None:
    """Every tensor that they put out and the gradient of every parameter, in float64."""
    model = build_network(architecture("nano"), 5, 64, role, seed=0).double()
    images = torch.rand(4, 3, 64, 64, dtype=torch.float64)
    labels = torch.tensor([0, 0, 3, 3])
    answers = []
    for forward in (model, lambda images, saliency: reference.ensemble(model, images, saliency)):
        model.zero_grad()
        output = forward(images, saliency=True)
        reference.supervised(output, labels).backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        answers.append(parts(output) | gradients)
    ours, plain = answers
    assert len(ours) > 100
    assert ours.keys() == plain.keys()
    for name, value in ours.items():
        torch.testing.assert_close(plain[name], value, rtol=1e-8, atol=1e-10, msg=name)


def test_contiguous_takes_every_parameter_out_of_channels_last() -> None:
    model = build_network(architecture("nano"), 5, 64, "student", seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    block = model.gce.blocks[0]
    assert isinstance(block, GceBlock)
    assert not block.conv2.weight.is_contiguous()
    reference.contiguous(model)
    assert all(parameter.is_contiguous() for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    images = torch.rand(2, 3, 64, 64)
    assert reference.ensemble(model, images, saliency=False).original.last_map.is_contiguous()


def test_ours_and_the_plain_distillation_loss_are_equal() -> None:
    runs = bench_loss.candidates(SHAPES)
    exact = runs.pop("reference")()
    assert len(runs) == 2
    assert exact[0].shape == (7,)
    assert all(gradient.any() for gradient in exact[1])
    for run in runs.values():
        terms, gradients = bench_loss.disagreement(run(), exact)
        assert terms < 1e-5
        assert gradients < 1e-4


def test_both_kinds_of_stored_targets_are_measured() -> None:
    kinds = [bench_loss.kept_as_matrix(channels, size) for channels, size in bench_loss.PUBLISHED.stages]
    assert kinds == [True, True, True, False]
    teacher = bench_loss.outputs(SHAPES, 0, torch.channels_last)
    flows = bench_loss.stored(teacher, SHAPES).flows
    assert [isinstance(flow, torch.Tensor) for flow in flows] == [True, True, False, False]


def test_a_step_of_ours_and_a_plain_one_have_the_same_loss(tmp_path: Path) -> None:
    plain = bench_step.published(TINY)
    bench_step.store_targets(TINY, tmp_path / "targets.pt")
    for file in (None, tmp_path / "targets.pt"):
        steps = bench_step.ours(TINY, file)
        assert steps.losses[0] == pytest.approx(plain.losses[0], rel=1e-5)
        assert steps.losses[1] != steps.losses[0]
        assert ("teacher" in steps.parts[0]) == (file is None)


def test_our_ranking_and_the_python_loop_give_the_same() -> None:
    ours, loop = bench_ranking.ours(RANKING), bench_ranking.python_loop(RANKING)
    assert ours.mean_average_precision == pytest.approx(loop.mean_average_precision, abs=1e-6)
    assert ours.rank_1 == loop.rank_1
    assert 0.1 < ours.rank_1 < 1


def test_the_python_loop_by_hand() -> None:
    gallery = np.array([[0.0], [1.0], [3.0], [7.0]], dtype=np.float32)
    people = np.array([1, 2, 1, 2])
    # 0: 1 [3] 7, AP 1/2 | 1: 0 3 [7], AP 1/3
    found = reference.mean_average_precision(gallery[:2], people[:2], gallery, people, own=np.array([0, 1]))
    assert list(found) == [pytest.approx((1 / 2 + 1 / 3) / 2), 0]
    # without leaving itself out, everybody finds himself first
    assert reference.mean_average_precision(gallery[:2], people[:2], gallery, people)[1] == 1


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("report", "rows"),
    [
        (lambda: bench_loss.report(SHAPES, 1, 1), ["reference", "ours, live teacher", "ours, stored targets"]),
        (lambda: bench_step.report(TINY), ["reference", "ours, live teacher", "ours, stored targets"]),
        (lambda: bench_ranking.report(RANKING, RANKING), ["Python loop", "ours"]),
    ],
)
def test_every_report_gives_a_ratio_for_each_candidate(report, rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "has_fast_bfloat16", lambda: False)
    ratios = ratios_in(report())
    assert sorted(ratios) == sorted(rows)
    assert float(ratios[rows[0]]) == 1


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("fast", [False, True])
def test_bfloat16_is_measured_where_the_processor_has_it(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "has_fast_bfloat16", lambda: fast)
    text = bench_step.report(TINY)
    assert ("ours, stored targets, bf16" in ratios_in(text)) is fast
    assert ("bf16: not measured" in text) is not fast


def ratios_in(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| ([^|]+) \| [\d.]+ m?s \| ([\d.]+) x \|", text, re.MULTILINE))


def test_candidates_are_timed_in_turns() -> None:
    calls = []
    timings = measure.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert calls == ["a", "b"] * 3
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]


def test_a_process_of_its_own_has_a_peak_of_its_own() -> None:
    ballast = np.ones(2**25)  # 256 MiB here must not count there
    small, large = (measure.in_new_process(np.ones, size)[1] for size in (1, 2**24))
    assert large - small > 100 * measure.MIB
    assert small < ballast.nbytes


def test_a_section_takes_the_place_of_its_last_one_and_the_log_stays_at_the_end() -> None:
    page = "# Results\n\nintro\n\n## a\n\nold\n\n## b\n\nkept\n\n## Tried and dropped\n\nlog\n"
    changed = measure.replaced(page, "a", "## a\n\nnew")
    assert changed == page.replace("old", "new")
    added = measure.replaced(page, "c", "## c\n\nthird")
    assert re.findall(r"^## (.+)", added, re.MULTILINE) == ["a", "b", "c", "Tried and dropped"]


@pytest.mark.slow
def test_what_openmp_costs_is_measured_in_every_way() -> None:
    text = bench_openmp.section(rounds=1, repeats=1)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| one", "| two"))]
    assert [row[0].removeprefix("| ") for row in rows] == list(bench_openmp.WAYS)
    assert rows[0][-1] == "1.0 |"
