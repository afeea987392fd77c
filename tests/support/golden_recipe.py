"""Rebuilds the weights and inputs from which the golden numbers were made (see tests/golden/README.md)."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from owkd.models.presets import Architecture, architecture
from owkd.models.published import published_name
from owkd.models.wse import Role, WseNet

GOLDEN = Path(__file__).parents[1] / "golden"
NUM_CLASSES = 7
SIZE = 224
SHAPES: dict[str, Architecture] = {"student": architecture("micro"), "teacher": architecture("small")}


def spec() -> dict[str, dict[str, list[int]]]:
    return json.loads((GOLDEN / "state_dict_spec.json").read_text())


def fill(net: str, name: str, shape: Sequence[int]) -> np.ndarray:
    """The tensor that the recipe gives to a published name; `net` is its salt."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    rng = np.random.default_rng([zlib.crc32(f"{net}/{name}".encode()), 0])
    n = rng.standard_normal(shape)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(n)
    if len(shape) >= 2:
        return n / np.sqrt(np.prod(shape[1:]))
    if name.endswith((".weight", ".scaleLayer", ".wf")):
        return 1 + 0.1 * n
    return 0.1 * n


def published_state(spec_key: str, net: str) -> dict[str, Tensor]:
    """A whole published state dict, float64."""
    return {name: torch.as_tensor(fill(net, name, shape)) for name, shape in spec()[spec_key].items()}


def fill_module(module: nn.Module, network: str, net: str) -> None:
    """Fills one of our networks by the recipe, through the published names."""
    state = module.state_dict()
    filled = {
        name: torch.as_tensor(fill(net, published_name(network, name), tuple(tensor.shape))).to(tensor.dtype)
        for name, tensor in state.items()
    }
    module.load_state_dict(filled)


def draw(k: int) -> np.random.Generator:
    """R(k) of the recipe."""
    return np.random.default_rng([0, k])


def images(dtype: torch.dtype) -> Tensor:
    """The batch of the golden numbers, (3, 3, 224, 224)."""
    return torch.as_tensor(draw(0).random((3, 3, SIZE, SIZE))).to(dtype)


def fill_ensemble(model: WseNet, who: str) -> None:
    """Fills a whole ensemble as `who`: student or teacher."""
    for network in ("original", "attention", "gce"):
        fill_module(getattr(model, network), network, f"{who}_{network}")


def ensemble(who: str, role: Role, dtype: torch.dtype) -> WseNet:
    """The networks of `who`, in the form of `role`: a student in a teacher's form shows its raw features."""
    model = WseNet(SHAPES[who], NUM_CLASSES, SIZE, role).double()
    fill_ensemble(model, who)
    return model.to(dtype).eval()
