"""Every `step/*` key of the golden numbers: one training step of a student, loss and gradients, by the real code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from owkd.config import parse_config
from owkd.losses import weigh
from owkd.models.published import published_name
from owkd.training.prepare import FoldData
from owkd.training.run import Distillation
from tests.support.golden_recipe import GOLDEN, NUM_CLASSES, ensemble, fill_ensemble, fill_module, images

pytestmark = pytest.mark.numeric

# float64: the order of summation only. float32: the forward pass's tolerance, which gradients keep but for one: that of
# the last spatial gate's convolution was measured 9e-4 off. It is arithmetic, not the method: the same weights, rounded
# to float32 but computed with in float64, leave 3e-7 at most. A wrong sign or factor would be off by far more.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}
SPATIAL_GATE = "student_attention/stages.3.cbam4.SpatialGate.spatial.conv.weight"
SPATIAL_GATE_TOLERANCE = {torch.float64: 1e-6, torch.float32: 5e-3}
FLOW = ("backbone_gram", "backbone_spectrum", "gce_gram", "gce_spectrum")
NETWORKS = ("original", "attention", "gce")


@dataclass(frozen=True)
class Step:
    """What one step computed."""

    dtype: torch.dtype
    terms: dict[str, float]
    weights: np.ndarray
    """(4, B), as the head gave them to the loss"""
    total: float
    """without the triplets, which the published step of the golden numbers leaves out"""
    norms: dict[str, float]
    """of each parameter's gradient, by its published name with the network before it"""

    def close(self, expected: Any) -> Any:
        return pytest.approx(expected, rel=TOLERANCE[self.dtype], abs=0)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "model_and_loss.npz") as file:
        return {key: file[key] for key in file.files if key.startswith("step/")}


@pytest.fixture(scope="module", params=[torch.float64, torch.float32], ids=str)
def step(request: pytest.FixtureRequest, golden: dict[str, np.ndarray]) -> Step:
    """One step of `Distillation` with the published configuration, student in training mode."""
    dtype: torch.dtype = request.param
    config = parse_config(
        {
            "data": {"root": "unused", "dataset": "unused"},
            "train": {"device": "cpu", "batch_size": 2, "images_per_identity": 1},
        }
    )
    data = cast(FoldData, SimpleNamespace(identities=tuple(range(NUM_CLASSES))))
    task = Distillation(config, data, ensemble("teacher", "teacher", dtype), Path("unused"), seed=0)
    task.modules.double()
    fill_ensemble(task.student, "student")
    head = task.modules["stage_weights"]
    fill_module(head, "optimal_weights", "optimal_weights")
    task.modules.to(dtype).train()
    seen: list[Tensor] = []
    head.register_forward_hook(lambda module, inputs, output: seen.append(output))

    terms = task.loss_terms(images(dtype), torch.from_numpy(golden["step/labels"]))
    losses = {name: value for name, value in terms.items() if name != "total" and "/" not in name}
    total = weigh({name: loss for name, loss in losses.items() if not name.startswith("triplet_")}, config.distill)
    total.backward()

    (weights,) = seen
    members: Mapping[str, torch.nn.Module] = {name: getattr(task.student, name) for name in NETWORKS}
    norms = {f"student_{name}": gradient_norms(name, module) for name, module in members.items()}
    norms["optimal_weights"] = gradient_norms("optimal_weights", head)
    flat = {f"{net}/{name}": norm for net, each in norms.items() for name, norm in each.items()}
    whole = {net: float(np.linalg.norm(list(each.values()))) for net, each in norms.items()}
    values = {name: value.item() for name, value in terms.items()}
    return Step(dtype, values, weights.detach().numpy(), total.item(), flat | whole)


def gradient_norms(network: str, module: torch.nn.Module) -> dict[str, float]:
    """L2 norm of each parameter's gradient, by published name."""
    return {
        published_name(network, name): 0.0 if parameter.grad is None else parameter.grad.double().norm().item()
        for name, parameter in module.named_parameters()
    }


def test_every_key_is_compared(golden: dict[str, np.ndarray]) -> None:
    names = ("labels", "cross_entropy", "logit_kd", "owkd", "total", "optimal_weights", "grad_names", "grad_norms")
    assert set(golden) == {f"step/{name}" for name in names}


def test_labels_hold_a_pair_and_a_single(golden: dict[str, np.ndarray]) -> None:
    assert golden["step/labels"].tolist() == [1, 1, 2]


def test_cross_entropy(golden: dict[str, np.ndarray], step: Step) -> None:
    names = ("ce_original", "ce_original_saliency", "ce_attention", "ce_attention_saliency", "ce_gce")
    assert [step.terms[name] for name in names] == step.close(golden["step/cross_entropy"].tolist())


def test_logit_distillation(golden: dict[str, np.ndarray], step: Step) -> None:
    assert [step.terms[f"logit_{name}"] for name in NETWORKS] == step.close(golden["step/logit_kd"].tolist())


def test_feature_distillation(golden: dict[str, np.ndarray], step: Step) -> None:
    assert sum(step.terms[name] for name in FLOW) == step.close(golden["step/owkd"].item())


def test_stage_weights(golden: dict[str, np.ndarray], step: Step) -> None:
    expected = golden["step/optimal_weights"]
    assert step.weights.shape == expected.shape
    np.testing.assert_allclose(step.weights, expected, rtol=TOLERANCE[step.dtype])
    shown = [step.terms[f"stage_weight/{i}"] for i in (1, 2, 3, 4)]
    assert shown == step.close(expected.mean(axis=1).tolist())


def test_total(golden: dict[str, np.ndarray], step: Step) -> None:
    assert step.total == step.close(golden["step/total"].item())
    triplets = sum(step.terms[f"triplet_{name}"] for name in NETWORKS)
    assert step.terms["total"] == step.close(step.total + triplets)


def test_gradients(golden: dict[str, np.ndarray], step: Step) -> None:
    expected = dict(zip(golden["step/grad_names"].tolist(), golden["step/grad_norms"].tolist(), strict=True))
    assert len(expected) == 16
    gate = expected.pop(SPATIAL_GATE)
    assert step.norms[SPATIAL_GATE] == pytest.approx(gate, rel=SPATIAL_GATE_TOLERANCE[step.dtype], abs=0)
    assert {name: step.norms[name] for name in expected} == step.close(expected)
