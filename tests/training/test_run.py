"""A student's training: the same numbers in any process, after any stop; clear refusals; honest distillation."""

import errno
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from owkd.checksums import SEAL
from owkd.config import NO_DISTILLATION, Config
from owkd.errors import CheckpointError, ConfigError, DataError, DivergedError
from owkd.evaluation.evaluate import evaluate
from owkd.losses import distillation_terms
from owkd.models.checkpoint import load_model, load_teacher, read_info, read_state
from owkd.models.published_files import load_published
from owkd.training import loop
from owkd.training.loop import Epoch
from owkd.training.prepare import batch_maker, open_fold
from owkd.training.run import Distillation, run
from owkd.training.state import load_training_state, save_training_state
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

AHEAD_OF_A_NORM = re.compile(r"student\.gce\.blocks\.\d\.conv\d\.bias")
TIMES = ("duration_s", "images_per_second")


def numbers(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in TIMES}


def test_every_epoch_is_reported_with_all_terms(root: Path, tmp_path: Path) -> None:
    seen: list[Epoch] = []
    result = run(small_config(root), seen.append, fold="Fold1", directory=tmp_path)
    assert [epoch.epoch for epoch in seen] == [1, 2]
    assert result.history == tuple(seen)
    for epoch in seen:
        assert {"loss/total", "loss/ce_gce", "loss/backbone_gram", "loss/gce_spectrum", "loss/logit_gce"} < set(
            epoch.metrics
        )
        assert {"val/mAP", "val/rank-1", "val/mINP", "val/center_accuracy"} < set(epoch.metrics)
        assert sum(epoch.metrics[f"stage_weight/{i}"] for i in (1, 2, 3, 4)) == pytest.approx(4, abs=1e-5)
        assert all(math.isfinite(value) for value in epoch.metrics.values())
    best = max(seen, key=lambda epoch: epoch.metrics["val/mAP"])
    assert result.best is best
    config = small_config(root)
    measured, queries = evaluate(result.checkpoint, config.data, fold="Fold1", split="validation", device="cpu")
    assert np.mean(queries["average_precision"].to_numpy()) == pytest.approx(measured["mAP"], abs=1e-12)
    assert measured["mAP"] == pytest.approx(best.metrics["val/mAP"], abs=1e-6)


def test_a_configuration_without_a_search_trains(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: Config) -> None:
        raise AssertionError("a single training has no search around it")

    config = small_config(root)
    for section in ("search", "retrain"):
        monkeypatch.setattr(Config, section, property(refuse), raising=False)
    with pytest.raises(AssertionError, match="no search around it"):
        _ = config.search
    result = run(config, fold="Fold1", directory=tmp_path)
    assert result.best.metrics["val/mAP"] == max(epoch.metrics["val/mAP"] for epoch in result.history)
    assert "latency_ms" not in result.best.metrics
    assert load_model(result.checkpoint)[1].role == "student"


@pytest.mark.parametrize("decay", ["none", "cosine"])
def test_stopped_and_resumed_equals_never_stopped(root: Path, tmp_path: Path, decay: str) -> None:
    config = small_config(root, train={"epochs": 3, "learning_rate_decay": decay})
    whole = run(config, fold="Fold1", directory=tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def stop_after_first(epoch: Epoch) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        run(config, stop_after_first, fold="Fold1", directory=tmp_path / "parts")
    seen: list[Epoch] = []
    parts = run(config, seen.append, fold="Fold1", directory=tmp_path / "parts")
    assert [epoch.replayed for epoch in seen] == [True, False, False]
    assert [numbers(epoch) for epoch in parts.history] == [numbers(epoch) for epoch in whole.history]
    one, other = (load_model(result.checkpoint)[0].state_dict() for result in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_fresh_process_gives_bit_equal_metrics(root: Path, tmp_path: Path) -> None:
    config = small_config(root)
    here = run(config, fold="Fold1", directory=tmp_path / "here")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    script = (
        "import json, sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from owkd.config import parse_config; from owkd.training.run import run\n"
        "folder = Path(sys.argv[1]); config = parse_config(json.loads((folder / 'config.json').read_text()))\n"
        "result = run(config, fold='Fold1', directory=folder / 'there')\n"
        "print(json.dumps([epoch.metrics for epoch in result.history]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    there = json.loads(done.stdout.splitlines()[-1])
    expected = [numbers(epoch) for epoch in here.history]
    assert [{k: v for k, v in metrics.items() if k not in TIMES} for metrics in there] == expected


def test_another_seed_gives_other_numbers(root: Path, tmp_path: Path) -> None:
    config = small_config(root, train={"epochs": 1})
    first, second = (run(config, fold="Fold1", directory=tmp_path / str(seed), seed=seed) for seed in (0, 1))
    assert first.best.metrics["loss/total"] != second.best.metrics["loss/total"]


def flip(path: Path) -> None:
    """One bit in the middle of a file, as a disk might."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "last.pt").write_bytes(b"half a file"), r"last\.pt is damaged"),
        (lambda folder: (folder / "last.pt").write_bytes(b""), r"last\.pt is damaged"),
        (lambda folder: flip(folder / "last.pt"), r"last\.pt is damaged .*checksum"),
        (lambda folder: save_training_state(folder / "last.pt", {}), r"last\.pt comes from another configuration"),
        (lambda folder: flip(folder / "best.safetensors"), r"best\.safetensors is damaged: its weights"),
        (lambda folder: (folder / "best.safetensors").unlink(), r"no such checkpoint: .*best\.safetensors"),
    ],
)
def test_what_cannot_be_resumed_is_trained_anew_and_says_so(
    root: Path, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    config = small_config(root, train={"epochs": 1})
    before = run(config, fold="Fold1", directory=tmp_path)
    damage(tmp_path)
    (epoch,) = run(config, fold="Fold1", directory=tmp_path).history
    assert not epoch.replayed
    assert re.search(rf"started anew: .*{words}", epoch.note)
    assert numbers(epoch) == numbers(before.history[0])
    (again,) = run(config, fold="Fold1", directory=tmp_path).history
    assert (again.replayed, again.note) == (True, "")


def test_a_disk_that_fails_is_no_damage(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training anew would write over a state that another node, or the next try, may well read."""

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    config = small_config(root, train={"epochs": 1})
    run(config, fold="Fold1", directory=tmp_path)
    before = (tmp_path / "last.pt").read_bytes()
    monkeypatch.setattr("owkd.training.state.load_torch_file", fail)
    with pytest.raises(OSError, match="Input/output"):
        run(config, fold="Fold1", directory=tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_no_bit_of_a_state_flips_unnoticed(tmp_path: Path) -> None:
    state = {"weights": torch.arange(40.0), "history": [{"epoch": 1, "metrics": {"val/mAP": 0.5}}]}
    path = tmp_path / "last.pt"
    save_training_state(path, state)
    content = path.read_bytes()
    noticed = 0
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        try:
            found = load_training_state(path)
        except CheckpointError:
            noticed += 1
            continue
        assert found is not None
        assert found["weights"].tolist() == list(range(40)), at  # a byte of the seal itself
        assert found["history"] == state["history"], at
    assert noticed >= len(content) - len(SEAL)


def test_no_flipped_bit_of_a_file_without_a_seal_becomes_a_weight(tmp_path: Path) -> None:
    """As the published files are, and the states of 0.1.0."""
    path = tmp_path / "original.pth"
    torch.save({"weights": torch.arange(40.0)}, path)
    content = path.read_bytes()
    for at, bit in itertools.product(range(len(content)), (0, 4)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        with suppress(CheckpointError):
            assert load_published(path)["weights"].tolist() == list(range(40)), at


def test_another_configuration_starts_anew(root: Path, tmp_path: Path) -> None:
    run(small_config(root, train={"epochs": 1}), fold="Fold1", directory=tmp_path)
    (first, _) = run(small_config(root, distill={"logit": 0.5}), fold="Fold1", directory=tmp_path).history
    assert (first.epoch, first.replayed) == (1, False)
    assert first.note.endswith("last.pt comes from another configuration")


def test_a_project_that_was_moved_resumes(root: Path, tmp_path: Path) -> None:
    """Where teacher, data and targets lie says nothing of the numbers; nor does whether targets are stored."""
    run(small_config(root, train={"epochs": 1}), fold="Fold1", directory=tmp_path / "run")
    shutil.copytree(root, tmp_path / "moved")
    moved = small_config(
        tmp_path / "moved",
        teacher={"checkpoint": str(tmp_path / "moved" / "teacher-Fold1.safetensors"), "targets": {"use": "live"}},
    )
    history = run(moved, fold="Fold1", directory=tmp_path / "run").history
    assert [(epoch.replayed, epoch.note) for epoch in history] == [(True, ""), (False, "")]


def test_the_learning_rates_fall_along_half_a_cosine(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[list[float]] = []

    def watched(task: loop.Task, batch: loop.Batch) -> loop.Terms:
        rates.append([group["lr"] for group in task.optimizer.param_groups])
        return train_step(task, batch)

    train_step = loop.train_step
    monkeypatch.setattr(loop, "train_step", watched)
    config = small_config(root, train={"epochs": 2, "learning_rate_decay": "cosine", "gce_learning_rate": 4e-3})
    history = run(config, fold="Fold1", directory=tmp_path).history
    steps = len(rates)
    first = config.train.learning_rate, 4e-3, config.train.stage_weight_learning_rate
    expected = [[rate * (1 + math.cos(math.pi * step / steps)) / 2 for rate in first] for step in range(steps)]
    assert steps > 2
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert [epoch.metrics["learning_rate"] for epoch in history] == pytest.approx([first[0], first[0] / 2])


def test_a_training_whose_rate_decays_has_its_last_step_where_it_was(root: Path, tmp_path: Path) -> None:
    def train(epochs: int, decay: str) -> tuple[Epoch, ...]:
        config = small_config(root, train={"epochs": epochs, "learning_rate_decay": decay})
        return run(config, fold="Fold1", directory=tmp_path / decay).history

    train(1, "none")
    assert train(2, "none")[0].replayed
    train(1, "cosine")
    assert train(2, "cosine")[0].note.endswith("comes from another configuration")


def test_no_distillation_needs_no_teacher(root: Path, tmp_path: Path) -> None:
    config = small_config(root, teacher={"checkpoint": None}, train={"epochs": 1})
    with pytest.raises(ConfigError, match=r"teacher\.checkpoint must name a file"):
        run(config, fold="Fold1", directory=tmp_path / "with")
    plain = Config(**{**dict(config), "distill": NO_DISTILLATION})
    result = run(plain, fold="Fold1", directory=tmp_path / "without")
    assert result.best.metrics["stage_weight/1"] == 0


def test_a_loss_that_is_not_finite_ends_the_training(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflowing(*given: Any) -> dict[str, Tensor]:
        return distillation_terms(*given) | {"backbone_gram": torch.tensor(torch.inf)}

    monkeypatch.setattr("owkd.training.run.distillation_terms", overflowing)
    with pytest.raises(DivergedError, match=r"not finite in epoch 1: .*backbone_gram"):
        run(small_config(root), fold="Fold1", directory=tmp_path)
    assert not (tmp_path / "best.safetensors").exists()


@pytest.mark.parametrize("poisoned", ["the last step", "the embeddings"])
def test_what_no_loss_shows_is_a_divergence_too(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoned: str
) -> None:
    def step(task: loop.Task, batch: loop.Batch) -> loop.Terms:
        terms = train_step(task, batch)
        left.pop()
        if not left:
            next(task.modules.parameters()).data[0] = torch.nan
        return terms

    config = small_config(root, train={"epochs": 1})
    train_step, left = loop.train_step, [None] * len(batches_of(config))
    if poisoned == "the last step":
        monkeypatch.setattr(loop, "train_step", step)
    else:
        monkeypatch.setattr("owkd.training.run.embed_images", lambda *given: torch.full((8, 4), torch.inf))
    words = {"the last step": "weights are not finite after epoch 1: student", "the embeddings": "must be finite"}
    with pytest.raises(DivergedError, match=words[poisoned]):
        run(config, fold="Fold1", directory=tmp_path)
    assert not (tmp_path / "last.pt").exists()


def batches_of(config: Config) -> list[np.ndarray]:
    """Of the first epoch."""
    labels = open_fold(config, "Fold1").training_set.labels
    make = batch_maker(labels, config.train.batch_size, config.train.images_per_identity)
    return make(np.random.default_rng([config.train.seed, 1]))


def test_every_parameter_of_the_student_learns_and_none_of_the_teacher(root: Path, tmp_path: Path) -> None:
    config = small_config(root, distill={"temperature": 2.0})
    data = open_fold(config, "Fold1")
    task = distillation(config, tmp_path)
    indices = torch.arange(8).numpy()
    task.modules.train()
    task.loss_terms(*data.training_set.batch(indices, task.device))["total"].backward()
    parameters = dict(task.modules.named_parameters())
    gradients = {name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None}
    assert [name for name in parameters if name not in gradients] == []
    # A bias ahead of a batch norm has no gradient but rounding, which may be 0.
    moved = {name: gradient for name, gradient in gradients.items() if not AHEAD_OF_A_NORM.fullmatch(name)}
    assert len(gradients) - len(moved) == 9
    assert [name for name, gradient in moved.items() if not gradient.abs().sum() > 0] == []
    assert task.teacher is not None
    assert all(parameter.grad is None for parameter in task.teacher.parameters())
    assert not task.teacher.training


def distillation(config: Config, folder: Path) -> Distillation:
    data = open_fold(config, "Fold1")
    student_shape = read_info(config.teacher.checkpoint_for("Fold1")).shape
    teacher = load_teacher(
        config.teacher.checkpoint_for("Fold1"),
        shape=replace(student_shape, depths=(1, 1, 1, 1)),
        image_size=config.data.image_size,
        identities=data.identities,
    )
    return Distillation(config, data, teacher, folder / "best.safetensors", seed=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda root: {"student": {"preset": "micro"}, "data": {"image_size": 32}},
            "channels must be those that the student meets",
        ),
        (lambda root: {"data": {"image_size": 64}}, r"set data\.image_size to 32"),
        (lambda root: {"teacher": {"checkpoint": str(root / "none.safetensors")}}, "no such checkpoint"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    root: Path, tmp_path: Path, change: Callable[[Path], dict[str, dict[str, object]]], words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        run(small_config(root, **change(root)), fold="Fold1", directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_teacher_of_another_fold_is_refused(root: Path, tmp_path: Path) -> None:
    config = small_config(root, teacher={"checkpoint": str(root / "teacher-Fold1.safetensors")})
    with pytest.raises(CheckpointError, match="other identities"):
        run(config, fold="Fold2", directory=tmp_path)


def test_a_missing_fold_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Fold9"):
        run(small_config(root), fold="Fold9", directory=tmp_path)


@pytest.mark.parametrize("learned", [True, False])
def test_the_stage_weight_head_travels_with_its_student(root: Path, tmp_path: Path, learned: bool) -> None:
    stage_weights = "learned" if learned else {"stage1": 1.0}
    config = small_config(root, train={"epochs": 1}, distill={"stage_weights": stage_weights})
    checkpoint = run(config, fold="Fold1", directory=tmp_path).checkpoint
    _, student, head = read_state(checkpoint)
    assert student.keys() == load_model(checkpoint, role="student")[0].state_dict().keys()
    assert {name: tuple(tensor.shape) for name, tensor in head.items()} == (
        {"linear.weight": (4, 128), "linear.bias": (4,)} if learned else {}
    )
    if learned:
        state = torch.load(tmp_path / "last.pt", weights_only=True)["modules"]
        assert torch.equal(head["linear.weight"], state["stage_weights.linear.weight"])


def test_a_student_starts_from_the_configured_weights(root: Path, tmp_path: Path) -> None:
    start = {"preset": "micro", "init": "imagenet", "init_file": str(tmp_path / "absent.pth")}
    config = small_config(root, student=start, distill=NO_DISTILLATION.model_dump())
    with pytest.raises(CheckpointError, match=r"absent\.pth"):
        run(config, fold="Fold1", directory=tmp_path)
