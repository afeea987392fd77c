"""Every model key of the golden numbers: our networks, filled by the recipe, against the published implementation."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from owkd.models.outputs import BackboneOutput, EnsembleOutput
from owkd.models.wse import Role
from tests.support.golden_recipe import GOLDEN, ensemble, fill, images

pytestmark = pytest.mark.numeric

# float64: the issue of order of summation only. float32: 27 blocks deep, unit-variance weights and batch norm leave
# about 1e-5 of the largest value in a tensor; ten times that is allowed.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """All that is not of the losses (`loss/*`) or of a training step (`step/*`): those have tests of their own."""
    with np.load(GOLDEN / "model_and_loss.npz") as file:
        return {key: file[key] for key in file.files if not key.startswith(("loss/", "step/"))}


def test_every_key_is_compared(golden: dict[str, np.ndarray]) -> None:
    compared = set()
    for who in ("student", "teacher"):
        compared |= {f"{who}/gce_input", f"{who}/gce_input_channels"}
        compared |= {f"{who}_gce/{name}" for name in ("logits", "embedding", "layer_features")}
        for net in ("original", "attention"):
            backbone = ("logits", "embedding", "stage_features", "projected_stage_features")
            compared |= {f"{who}_{net}/{name}" for name in backbone}
            compared |= {f"student_{net}/{name}" for name in ("train_logits", "train_saliency_logits")}
    assert set(golden) == compared


def digest(x: Tensor) -> np.ndarray:
    """(B, C, H, W) -> (B, 5), as the golden README defines it."""
    _, c, h, w = x.shape
    parts = (
        x.mean(dim=(1, 2, 3)),
        x.flatten(1).std(dim=1, unbiased=False),
        x[:, 0, 0, 0],
        x[:, c // 2, h // 2, w // 3],
        x[:, -1, -1, 0],
    )
    return torch.stack(parts, dim=1).numpy()


@cache
def evaluated(who: str, role: Role, dtype: torch.dtype) -> EnsembleOutput:
    with torch.inference_mode():
        output: EnsembleOutput = ensemble(who, role, dtype)(images(dtype))
    return output


def check(actual: np.ndarray | Tensor, expected: np.ndarray, dtype: torch.dtype) -> None:
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    # Some entries of a digest are near zero, so errors are measured against the largest entry of each tensor.
    assert np.abs(actual - expected).max() <= TOLERANCE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("who", ["student", "teacher"])
@pytest.mark.parametrize("net", ["original", "attention"])
def test_backbone(golden: dict[str, np.ndarray], who: str, net: str, dtype: torch.dtype) -> None:
    raw: BackboneOutput = getattr(evaluated(who, "teacher", dtype), net)
    check(raw.logits, golden[f"{who}_{net}/logits"], dtype)
    check(raw.embedding, golden[f"{who}_{net}/embedding"], dtype)
    check(np.stack([digest(f) for f in raw.stage_features]), golden[f"{who}_{net}/stage_features"], dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("net", ["original", "attention"])
def test_student_projection(golden: dict[str, np.ndarray], net: str, dtype: torch.dtype) -> None:
    projected: BackboneOutput = getattr(evaluated("student", "student", dtype), net)
    expected = golden[f"student_{net}/projected_stage_features"]
    check(np.stack([digest(f) for f in projected.stage_features]), expected, dtype)


@pytest.mark.parametrize("net", ["original", "attention"])
def test_teacher_projection_of_the_published_code(golden: dict[str, np.ndarray], net: str) -> None:
    """The published teacher projects too, by convolutions that its checkpoints lack: ours are raw by choice."""
    raw: BackboneOutput = getattr(evaluated("teacher", "teacher", torch.float64), net)
    projected = []
    for i, feature in enumerate(raw.stage_features):
        c = feature.shape[1]
        weight = torch.as_tensor(fill(f"teacher_{net}", f"distillLayer{i + 1}.weight", (c, c, 1, 1)))
        bias = torch.as_tensor(fill(f"teacher_{net}", f"distillLayer{i + 1}.bias", (c,)))
        projected.append(digest(torch.nn.functional.conv2d(feature, weight, bias)))
    check(np.stack(projected), golden[f"teacher_{net}/projected_stage_features"], torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("who", ["student", "teacher"])
def test_gce(golden: dict[str, np.ndarray], who: str, dtype: torch.dtype) -> None:
    gce = evaluated(who, "teacher", dtype).gce
    assert gce.input.shape == (3, 1793, 7, 7)
    check(digest(gce.input), golden[f"{who}/gce_input"], dtype)
    check(gce.input.mean(dim=(2, 3)), golden[f"{who}/gce_input_channels"], dtype)
    check(gce.logits, golden[f"{who}_gce/logits"], dtype)
    check(gce.embedding, golden[f"{who}_gce/embedding"], dtype)
    check(np.stack([digest(layer) for layer in gce.layers]), golden[f"{who}_gce/layer_features"], dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_training_mode_and_weak_saliency(golden: dict[str, np.ndarray], dtype: torch.dtype) -> None:
    model = ensemble("student", "student", dtype).train()
    with torch.no_grad():
        output: EnsembleOutput = model(images(dtype), saliency=True)
    for net in ("original", "attention"):
        backbone: BackboneOutput = getattr(output, net)
        assert backbone.saliency_logits is not None
        check(backbone.logits, golden[f"student_{net}/train_logits"], dtype)
        check(backbone.saliency_logits, golden[f"student_{net}/train_saliency_logits"], dtype)
