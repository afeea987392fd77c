"""Every `loss/*` key of the golden numbers, for each way of computing a flow distance."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from owkd.config import DistillConfig
from owkd.losses import StageWeightHead, distillation_terms, flow, gram_mse, spectrum_mse, weigh
from owkd.models.outputs import BackboneOutput, EnsembleOutput, GceOutput, TeacherTargets
from tests.support.golden_recipe import GOLDEN, draw, published_state

pytestmark = pytest.mark.numeric

STAGES = ((96, 56), (192, 28), (384, 14), (768, 7))
# float64: the order of summation only. float32: a mean over at least 9216 entries, each the difference of two numbers
# of its own size that carry errors of some 1e-7; measured 3e-7 at most.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5}
DTYPES = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
KINDS = ("gram", "spectrum")
# What the rule chooses, stage by stage, and for GCE-Net.
CHOSEN = {"gram": ["matrix", "matrix", "matrix", "factors"], "spectrum": ["matrix", "matrix", "factors", "factors"]}
CHOSEN_GCE = {"gram": "factors", "spectrum": "factors"}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "model_and_loss.npz") as file:
        return {key: file[key] for key in file.files if key.startswith("loss/")}


@cache
def drawn(k: int, channels: int, size: int, dtype: torch.dtype) -> Tensor:
    return torch.as_tensor(draw(k).standard_normal((2, channels, size, size))).to(dtype)


def stage(i: int, dtype: torch.dtype) -> list[Tensor]:
    """Student original and attention, teacher original and attention."""
    return [drawn(first + i, *STAGES[i], dtype) for first in (10, 20, 30, 40)]


def gce_flows(dtype: torch.dtype) -> list[list[Tensor]]:
    first, *layers = (drawn(k, 1793, 7, dtype) for k in (50, 51, 52, 53))
    teacher = [drawn(k, 1793, 7, dtype) for k in (55, 56, 57)]
    return [[*ours, *theirs] for ours, theirs in zip(_pairs([first, *layers]), _pairs([first, *teacher]), strict=True)]


def _pairs(chain: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(pairwise(chain))


def by(kind: str, path: str, maps: list[Tensor]) -> Tensor:
    """One way, whatever the rule would choose."""
    return getattr(flow, f"_{kind}_{path}")(*(part.flatten(2) for part in maps))


def head(dtype: torch.dtype) -> StageWeightHead:
    state = published_state("optimal_weights", "optimal_weights")
    module = StageWeightHead(768).to(dtype)
    module.load_state_dict({name.replace("convnextFC", "linear"): value for name, value in state.items()})
    return module


def ensembles(dtype: torch.dtype) -> tuple[EnsembleOutput, EnsembleOutput]:
    logits = torch.zeros(2, 7, dtype=dtype)

    def backbone(first: int) -> BackboneOutput:
        features = tuple(drawn(first + i, *STAGES[i], dtype) for i in range(4))
        return BackboneOutput(logits, features[3].mean(dim=(2, 3)), features, features[3], None, None)

    def gce(layers: tuple[int, int, int], first: int) -> GceOutput:
        maps = [drawn(k, 1793, 7, dtype) for k in (first, *layers)]
        return GceOutput(maps[0], (maps[1], maps[2], maps[3]), maps[3].mean(dim=(2, 3)), logits)

    # The teacher's own GCE-Net input is no part of the loss; another draw would show if it were.
    teacher = EnsembleOutput(backbone(30), backbone(40), gce((55, 56, 57), first=54))
    return EnsembleOutput(backbone(10), backbone(20), gce((51, 52, 53), first=50)), teacher


def test_these_are_all_keys(golden: dict[str, np.ndarray]) -> None:
    assert sorted(golden) == [
        "loss/backbone_gram_and_spectrum_mse",
        "loss/gce_gram_and_spectrum_mse",
        "loss/optimal_weights",
        "loss/owkd",
    ]


# The 2N x 2N products of the gram's factors would take gigabytes at 56 x 56 pixels.
CASES = [(i, kind, path) for i in range(4) for kind in KINDS for path in ("matrix", "factors")]
CASES.remove((0, "gram", "factors"))


@DTYPES
@pytest.mark.parametrize(("i", "kind", "path"), CASES)
def test_backbone_distances_either_way(
    i: int, kind: str, path: str, dtype: torch.dtype, golden: dict[str, np.ndarray]
) -> None:
    expected = golden["loss/backbone_gram_and_spectrum_mse"][i, :, KINDS.index(kind)]
    np.testing.assert_allclose(by(kind, path, stage(i, dtype)).numpy(), expected, rtol=TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("i", range(4))
def test_backbone_distances_as_chosen(i: int, dtype: torch.dtype, golden: dict[str, np.ndarray]) -> None:
    channels, size = STAGES[i]
    assert flow.gram_path(channels, channels, size**2) == CHOSEN["gram"][i]
    assert flow.spectrum_path(channels, channels, size**2) == CHOSEN["spectrum"][i]
    maps = stage(i, dtype)
    both = torch.stack((gram_mse(*maps), spectrum_mse(*maps)), dim=1)
    assert both.dtype == dtype
    expected = golden["loss/backbone_gram_and_spectrum_mse"][i]
    np.testing.assert_allclose(both.numpy(), expected, rtol=TOLERANCE[dtype])
    for column, kind in enumerate(KINDS):
        assert torch.equal(both[:, column], by(kind, CHOSEN[kind][i], maps))


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_gce_distances(kind: str, dtype: torch.dtype, golden: dict[str, np.ndarray]) -> None:
    expected = golden["loss/gce_gram_and_spectrum_mse"][:, KINDS.index(kind)]
    public = {"gram": gram_mse, "spectrum": spectrum_mse}[kind]
    assert getattr(flow, f"{kind}_path")(1793, 1793, 49) == CHOSEN_GCE[kind]
    chosen = [public(*maps).mean().item() for maps in gce_flows(dtype)]
    np.testing.assert_allclose(chosen, expected, rtol=TOLERANCE[dtype])
    assert chosen == [by(kind, CHOSEN_GCE[kind], maps).mean().item() for maps in gce_flows(dtype)]


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_one_gce_distance_by_the_plain_formula(kind: str, dtype: torch.dtype, golden: dict[str, np.ndarray]) -> None:
    expected = golden["loss/gce_gram_and_spectrum_mse"][1, KINDS.index(kind)]
    value = by(kind, "matrix", gce_flows(dtype)[1]).mean().item()
    assert value == pytest.approx(expected, rel=TOLERANCE[dtype])


@DTYPES
def test_stage_weights(dtype: torch.dtype, golden: dict[str, np.ndarray]) -> None:
    _, teacher = ensembles(dtype)
    with torch.no_grad():
        weights = head(dtype)(TeacherTargets.of(teacher).pooled)
    assert weights.dtype == dtype
    np.testing.assert_allclose(weights.numpy(), golden["loss/optimal_weights"], rtol=TOLERANCE[dtype])


@DTYPES
def test_whole_feature_loss(dtype: torch.dtype, golden: dict[str, np.ndarray]) -> None:
    student, teacher = ensembles(dtype)
    targets = TeacherTargets.of(teacher)
    config = DistillConfig(logit=0)
    with torch.no_grad():
        weights = head(dtype)(targets.pooled)
        terms = distillation_terms(student, targets, config, weights)
    flows = ("backbone_gram", "backbone_spectrum", "gce_gram", "gce_spectrum")
    total = sum((terms[name] for name in flows), torch.zeros((), dtype=dtype))
    assert total.item() == pytest.approx(golden["loss/owkd"].item(), rel=TOLERANCE[dtype])
    assert weigh(terms, config).item() == pytest.approx(1e-4 * golden["loss/owkd"].item(), rel=TOLERANCE[dtype])
