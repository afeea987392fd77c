"""What a student may be trained with beyond the published recipe: each against its formula, and resumable."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from owkd.config import TrainConfig
from owkd.losses import cross_entropy
from owkd.models.checkpoint import read_state
from owkd.training.loop import Epoch
from owkd.training.prepare import open_fold
from owkd.training.recipe.augmentation import ERASED_AREA, UNCHANGED, Augmentation, Changes, changed
from owkd.training.recipe.rates import rate_factor
from owkd.training.recipe.stepping import average_weights, clip_gradients
from owkd.training.run import _signature, run
from owkd.training.state import load_training_state
from owkd.training.targets import plans_of_targets, targets_bytes
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

SIZE = 24
EVERYTHING: dict[str, Any] = {
    "warmup_epochs": 1.5,
    "label_smoothing": 0.1,
    "gradient_clip": 1.0,
    "weight_average": 0.9,
    "flip": True,
    "crop_padding": 4,
    "random_erasing": 0.5,
}
TIMES = ("duration_s", "images_per_second")


def batch(count: int = 6) -> Tensor:
    images = torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return images.contiguous(memory_format=torch.channels_last)


def numbers(history: tuple[Epoch, ...]) -> list[dict[str, float]]:
    return [{name: value for name, value in epoch.metrics.items() if name not in TIMES} for epoch in history]


def test_each_image_is_changed_as_drawn() -> None:
    images = batch()
    flips = np.array([True, False, True, False, False, True])
    shifts = np.array([[0, 0], [3, -2], [-4, 4], [4, 0], [0, 0], [-1, -1]])
    boxes = np.array([[2, 3, 9, 20], [0, 0, 0, 0], [0, 0, 5, 5], [10, 1, 23, 23], [0, 0, 0, 0], [1, 1, 2, 2]])
    expected = torch.zeros_like(images)
    for n, image in enumerate(images):
        source = image.flip(2) if flips[n] else image
        down, right = shifts[n]
        for row in range(SIZE):
            for column in range(SIZE):
                if 0 <= row + down < SIZE and 0 <= column + right < SIZE:
                    expected[n, :, row, column] = source[:, row + down, column + right]
        top, left, bottom, right_end = boxes[n]
        expected[n, :, top:bottom, left:right_end] = expected[n].mean(dim=(1, 2))[:, None, None]
    found = changed(images, Changes(flips, shifts, boxes))
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected)


def test_nothing_is_drawn_where_nothing_is_changed() -> None:
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    assert UNCHANGED.draw(rng, 8, SIZE) is None
    assert rng.bit_generator.state == before


def test_what_is_drawn_is_as_often_and_as_large_as_configured() -> None:
    count, size = 4000, 100
    changes = Augmentation(flip=True, padding=5, erasing=0.3).draw(np.random.default_rng(0), count, size)
    assert changes is not None
    assert changes.shifts is not None
    assert changes.boxes is not None
    top, left, bottom, right = changes.boxes.T
    area = (bottom - top) * (right - left)
    assert changes.flips.mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(count))
    assert (area > 0).mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / count))
    assert set(np.unique(changes.shifts)) == set(range(-5, 6))
    assert (0.9 * ERASED_AREA[0] * size**2 < area[area > 0]).all()
    assert (area < 1.1 * ERASED_AREA[1] * size**2).all()
    assert changes.boxes.min() >= 0
    assert changes.boxes.max() <= size


def test_flipped_images_get_the_targets_that_a_live_teacher_gives(root: Path, tmp_path: Path) -> None:
    histories = [
        run(small_config(root, train={"flip": True}, teacher={"targets": {"use": use}}), fold="Fold1", directory=place)
        for use, place in (("stored", tmp_path / "stored"), ("live", tmp_path / "live"))
    ]
    stored, live = (numbers(each.history) for each in histories)
    for ours, theirs in zip(stored, live, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=2e-3)
    assert stored != numbers(run(small_config(root), fold="Fold1", directory=tmp_path / "plain").history)


def test_mirrored_targets_are_the_teachers_outputs_for_mirrored_images(root: Path, tmp_path: Path) -> None:
    from owkd.training.target_building import targets_for

    config = small_config(root, train={"flip": True}, teacher={"targets": {"folder": str(tmp_path / "targets")}})
    data = open_fold(config, "Fold1")
    plain, mirrored = plans_of_targets(config, "Fold1", data.train)
    images, say = data.training_set.images, lambda line: None
    made = targets_for(mirrored, images, torch.device("cpu"), "stored", say)
    ahead = replace(plain, name="by-hand")
    by_hand = targets_for(ahead, np.ascontiguousarray(images[:, :, ::-1]), torch.device("cpu"), "stored", say)
    own = targets_for(plain, images, torch.device("cpu"), "stored", say)
    assert made is not None
    assert by_hand is not None
    assert own is not None
    indices, flips = np.array([3, 0, 2]), np.array([True, False, True])
    both = own.with_flipped(made).batch(indices, torch.device("cpu"), flips)
    for n, flipped in enumerate(flips):
        source = (by_hand if flipped else own).batch(indices, torch.device("cpu"))
        for member, logits in both.logits.items():
            assert torch.equal(logits[n], source.logits[member][n])
        assert torch.equal(both.pooled[n], source.pooled[n])
    with pytest.raises(ValueError, match="targets of mirrored images"):
        own.batch(indices, torch.device("cpu"), flips)
    assert {path.name for path in plain.places[0].iterdir()} == {plain.name, mirrored.name, "by-hand"}


def test_where_images_are_cropped_or_erased_the_teacher_runs_in_every_step(root: Path, tmp_path: Path) -> None:
    said: list[str] = []
    why = "its outputs for images that are cropped or erased cannot be stored"
    config = small_config(root, train={"random_erasing": 0.5}, teacher={"targets": {"folder": str(tmp_path / "none")}})
    result = run(config, fold="Fold1", directory=tmp_path / "run", say=said.append)
    assert said == [f"the teacher runs in every step: {why}"]
    assert not (tmp_path / "none").exists()
    assert result.history[0].metrics["loss/logit_gce"] > 0
    assert targets_bytes(config, "Fold1") == 0
    flipping = small_config(root, train={"flip": True})
    assert targets_bytes(flipping, "Fold1") == 2 * targets_bytes(small_config(root), "Fold1") > 0


def test_a_training_with_everything_on_comes_out_alike_after_a_stop(root: Path, tmp_path: Path) -> None:
    config = small_config(root, train={**EVERYTHING, "epochs": 3})
    whole = run(config, fold="Fold1", directory=tmp_path / "whole")

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, stop, fold="Fold1", directory=tmp_path / "stopped")
    resumed = run(config, fold="Fold1", directory=tmp_path / "stopped")
    assert [epoch.replayed for epoch in resumed.history] == [True, True, False]
    assert numbers(resumed.history) == numbers(whole.history)
    first, second = (read_state(each.checkpoint)[1] for each in (whole, resumed))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_average_is_what_is_validated_and_kept(root: Path, tmp_path: Path) -> None:
    result = run(
        small_config(root, train={"weight_average": 0.9, "epochs": 1}), fold="Fold1", directory=tmp_path / "averaged"
    )
    state = load_training_state(tmp_path / "averaged" / "last.pt")
    assert state is not None
    kept = read_state(result.checkpoint)[1]
    averaged = {
        name.removeprefix("average.module."): value
        for name, value in state["modules"].items()
        if name.startswith("average.module.")
    }
    last = state["modules"]["student.gce.head.weight"]
    name = next(name for name in kept if name.endswith("gce.head.weight"))
    assert torch.equal(kept[name], averaged["gce.head.weight"])
    assert not torch.equal(kept[name], last)


def test_an_average_follows_its_model() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, average = average_weights(model, optimizer, 0.75)
    expected: Tensor | None = None
    for seed in range(4):
        rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(rows).square().sum().backward()
        optimizer.step()
        now = model.state_dict()["0.weight"].clone()
        expected = now if expected is None else 0.75 * expected + 0.25 * now
    assert expected is not None
    torch.testing.assert_close(average.state_dict()["0.weight"], expected)
    means = [each.state_dict()["1.running_mean"] for each in (average, model)]
    assert not torch.equal(*means)


@pytest.mark.parametrize(("norm", "expected"), [(1.0, 1.0), (100.0, 5.0)])
def test_gradients_are_scaled_down_together(norm: float, expected: float) -> None:
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.SGD(weights, lr=1.0)
    clip_gradients(optimizer, norm)
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    optimizer.step()
    moved = torch.cat([weight.detach() for weight in weights])
    assert moved.norm().item() == pytest.approx(expected, rel=1e-5)
    assert (moved / moved.norm()).tolist() == pytest.approx([-0.6, 0.0, -0.8])


def test_smoothed_labels() -> None:
    logits, labels = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 6, 3, 3, 1])
    goal = torch.full((5, 7), 0.2 / 7)
    goal[torch.arange(5), labels] += 0.8
    expected = -(goal * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(cross_entropy(logits, labels, 0.2), expected)


def test_a_warm_up_rises_from_a_tenth() -> None:
    factor = rate_factor(TrainConfig(epochs=10, warmup_epochs=2))
    assert [factor(epoch) for epoch in (0, 1, 2, 9)] == pytest.approx([0.1, 0.55, 1.0, 1.0])
    both = rate_factor(TrainConfig(epochs=10, warmup_epochs=2, learning_rate_decay="cosine"))
    assert both(1) == pytest.approx(0.55 * (1 + math.cos(math.pi * 0.1)) / 2)
    assert rate_factor(TrainConfig())(0.0) == 1.0
    longer = rate_factor(TrainConfig(epochs=23, warmup_epochs=2))  # what was warmed up stays so when it goes further
    assert all(factor(step / 7) == longer(step / 7) for step in range(21))


@pytest.mark.parametrize("option", EVERYTHING)
def test_an_option_is_signed_where_it_is_on(option: str, root: Path) -> None:
    plain = small_config(root)
    data = open_fold(plain, "Fold1")
    off = small_config(root, train={option: TrainConfig().model_dump()[option]})
    on = small_config(root, train={option: EVERYTHING[option]})
    assert _signature(off, data, "Fold1", 0) == _signature(plain, data, "Fold1", 0)
    assert _signature(on, data, "Fold1", 0) != _signature(plain, data, "Fold1", 0)
