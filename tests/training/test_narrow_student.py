"""A student that is narrower than its teacher: compared through projections, which an embedding does without."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from owkd.errors import CheckpointError
from owkd.models.checkpoint import load_model, read_info, require_teacher, save_model
from owkd.models.presets import PRESETS, Architecture
from owkd.models.wse import WseNet
from owkd.training.run import run
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

NANO = PRESETS["nano"]
NARROW = Architecture((4, 8, 16, 64), (1, 1, 1, 1), patch=2, narrow=True, meets=(8, 16, 32, 64))
"""of nano's teacher; the last stage cannot be narrower, because of GCE-Net's groups"""

HEADS = ("original.head", "attention.head")


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "pico", NARROW)


@pytest.mark.usefixtures("_narrow")
def test_it_learns_from_its_teachers_stored_outputs_as_from_the_live_ones(root: Path, tmp_path: Path) -> None:
    histories = []
    for use in ("stored", "live"):
        config = small_config(root, student={"preset": "pico"}, teacher={"targets": {"use": use}})
        result = run(config, fold="Fold1", directory=tmp_path / use)
        histories.append(result.history)
        assert all(math.isfinite(value) for epoch in result.history for value in epoch.metrics.values())
    terms = [name for name in histories[0][0].metrics if name.startswith("loss/")]
    for stored, live in zip(*histories, strict=True):
        for name in terms:
            assert stored.metrics[name] == pytest.approx(live.metrics[name], rel=1e-3, abs=1e-5)
    for term in ("backbone_gram", "backbone_spectrum", "gce_gram", "gce_spectrum", "logit_gce"):
        assert histories[0][0].metrics[f"loss/{term}"] > 0
    network, info = load_model(tmp_path / "stored" / "best.safetensors")
    assert info.shape == network.shape == NARROW


def test_its_projections_are_met_while_it_learns_and_cost_an_embedding_nothing() -> None:
    narrow = Architecture((4, 8, 16, 128), (1, 1, 1, 1), patch=2, narrow=True, meets=(8, 16, 32, 192))
    student = WseNet(narrow, 5, 32, "student")
    teacher = WseNet(narrow.teacher, 5, 32, "teacher")
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ours, theirs = student.train()(images), teacher.train()(images)
    for name in ("original", "attention"):
        shapes = [[f.shape for f in getattr(each, name).stage_features] for each in (ours, theirs)]
        assert shapes[0] == shapes[1]
    assert [layer.shape for layer in ours.gce.layers] == [layer.shape for layer in theirs.gce.layers]
    assert ours.gce.input.shape == theirs.gce.input.shape
    assert ours.gce.embedding.shape == (4, narrow.gce_channels)
    assert student.eval()(images).gce.layers[0].shape[1] == narrow.gce_channels
    projections = sum(p.numel() for name, p in student.named_parameters() if ".projections." in name)
    assert student.parameter_count() + projections < sum(p.numel() for p in student.parameters())


@pytest.mark.parametrize("shape", [NANO, NARROW], ids=["as wide", "narrower"])
def test_an_embedding_computes_nothing_that_learning_alone_takes(shape: Architecture) -> None:
    """Neither projections, nor weak saliency, nor the backbones' classifiers; and it is that of a whole pass."""
    student = WseNet(shape, 5, 32, "student").eval()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = student(images).gce.embedding
    computed: list[str] = []
    for name, module in student.named_modules():
        module.register_forward_hook(lambda module, given, output, name=name: computed.append(name))
    assert torch.equal(student.embed(images), whole)
    assert {"original.stages.0", "attention.stages.3", "gce.blocks.2"} <= set(computed)
    assert not [name for name in computed if "projections" in name or "saliency" in name or name in HEADS]


@pytest.mark.parametrize("preset", ["pico", "femto"])
def test_published_teachers_teach_it_and_others_do_not(preset: str, tmp_path: Path) -> None:
    shape = PRESETS[preset]  # type: ignore[index]
    assert shape.is_taught_by(PRESETS["small"])
    assert PRESETS["micro"].is_taught_by(PRESETS["tiny"])
    assert not shape.is_taught_by(NANO)
    with torch.device("meta"):
        counts = [WseNet(each, 100, 224, "student").parameter_count() for each in (shape, PRESETS["micro"])]
    assert counts[0] < counts[1]
    file = tmp_path / "nano.safetensors"
    save_model(WseNet(NANO, 3, 32, "teacher"), file)
    with pytest.raises(CheckpointError, match=r"those that the student meets, .* against \(96, 192, 384, 768\)"):
        require_teacher(file, shape=shape, image_size=32, identities=(1, 2, 3))


def test_files_of_other_students_are_as_before(tmp_path: Path) -> None:
    file = tmp_path / "student.safetensors"
    save_model(WseNet(NANO, 3, 32, "student"), file)
    assert b"meets" not in file.read_bytes()
    assert read_info(file).shape == NANO
