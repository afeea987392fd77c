"""What a GPU changes, and what it must not: the numbers of a step, its queue, the images that lie on it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from owkd import device
from owkd.config import Config
from owkd.device import RESIDENT_PART, resident
from owkd.training.loop import Batch, TrainingSet, train_step
from owkd.training.prepare import open_fold
from owkd.training.run import Distillation, attach_teacher, run
from tests.support.small_training import small_config

CUDA = torch.device("cuda")


def on_a_gpu(root: Path, **train: object) -> Config:
    return small_config(root, train={"device": "cuda", **train})


def prepared(config: Config) -> tuple[Distillation, Batch]:
    """A training and its first batch, before any step."""
    data, teacher = attach_teacher(config, open_fold(config, "Fold1"), "Fold1")
    task = Distillation(config, data, teacher, Path("unused"), seed=0)
    task.modules.train()
    return task, data.training_set.on(task.device).batch(np.arange(8), task.device)


def stepped(config: Config) -> dict[str, float]:
    """Every term of a first step, and the length of its gradient."""
    task, batch = prepared(config)
    terms = task.loss_terms(*batch)
    terms["total"].backward()
    gradients = [p.grad.double().norm() for p in task.modules.parameters() if p.grad is not None]
    return {name: term.item() for name, term in terms.items()} | {"gradient": float(torch.stack(gradients).norm())}


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions keep all digits of float32, which cuDNN does not by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.gpu
@pytest.mark.usefixtures("exact")
def test_a_step_has_the_numbers_of_the_one_on_a_cpu(root: Path) -> None:
    expected = stepped(small_config(root))
    assert stepped(on_a_gpu(root)) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.gpu
@pytest.mark.timeout(900)  # compiling takes minutes
@pytest.mark.parametrize("train", [{"precision": "bf16"}, {"compile": True}, {"precision": "bf16", "compile": True}])
def test_a_step_in_bfloat16_or_compiled_is_near_it(root: Path, train: dict[str, object]) -> None:
    found, expected = stepped(on_a_gpu(root, **train)), stepped(small_config(root))
    assert found["total"] == pytest.approx(expected["total"], rel=0.05)
    assert np.isfinite(found["gradient"])


@pytest.mark.gpu
@pytest.mark.parametrize("stage_weights", ["learned", {"stage1": 1, "stage2": 1, "stage3": 1, "stage4": 1}])
def test_a_step_never_waits_for_the_gpu(root: Path, stage_weights: object) -> None:
    config = small_config(root, train={"device": "cuda"}, distill={"stage_weights": stage_weights})
    task, _ = prepared(config)
    data = task.data.training_set.on(task.device)
    for attempt in range(2):  # the first one makes the libraries' handles, which waits
        torch.cuda.set_sync_debug_mode("error" if attempt else "default")
        try:
            train_step(task, data.batch(np.arange(8), task.device))
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_images_that_lie_on_the_gpu_are_the_same(root: Path) -> None:
    config = on_a_gpu(root)
    data = open_fold(config, "Fold1").training_set
    indices = np.array([3, 0, 3, 7])
    assert data.on(CUDA).resident is not None
    torch.testing.assert_close(data.on(CUDA).batch(indices, CUDA), data.batch(indices, CUDA), rtol=0, atol=0)


@pytest.mark.gpu
def test_a_training_gives_its_memory_back(root: Path, tmp_path: Path) -> None:
    config = on_a_gpu(root, epochs=1)
    run(config, fold="Fold1", directory=tmp_path / "first")
    after_one = torch.cuda.memory_allocated()
    run(config, fold="Fold1", directory=tmp_path / "second")
    assert torch.cuda.memory_allocated() <= after_one


@pytest.mark.parametrize(("fraction", "lie_there"), [(1.0, True), (0.5, False)])
def test_images_lie_on_a_gpu_where_its_share_has_room(
    monkeypatch: pytest.MonkeyPatch, fraction: float, lie_there: bool
) -> None:
    images = np.zeros((4, 2, 2, 3), dtype=np.uint8)
    total = int(images.nbytes / RESIDENT_PART)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, total))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: fraction)
    monkeypatch.setattr(device, "send", lambda array, device: torch.from_numpy(array))
    assert (resident(images, CUDA) is not None) is lie_there


def test_images_stay_mapped_on_a_cpu() -> None:
    assert resident(np.zeros((1, 2, 2, 3), dtype=np.uint8), torch.device("cpu")) is None


def test_a_batch_comes_from_where_the_images_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    data = TrainingSet(images, np.arange(5))
    cpu, indices = torch.device("cpu"), np.array([4, 0, 4])
    moved = TrainingSet(np.zeros_like(images), np.arange(5), resident=torch.from_numpy(images.copy()))
    torch.testing.assert_close(moved.batch(indices, cpu), data.batch(indices, cpu), rtol=0, atol=0)
    assert data.batch(indices, cpu).labels.tolist() == [4, 0, 4]
