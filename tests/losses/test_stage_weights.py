"""Learned and fixed stage weights."""

import math

import pytest
import torch
from torch import Tensor

from owkd.config import StageWeights
from owkd.losses import StageWeightHead, fixed_stage_weights

pytestmark = pytest.mark.numeric


def means(batch: int = 2, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 2 * channels, generator=generator, dtype=torch.float64)


def test_by_hand() -> None:
    head = StageWeightHead(1)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.5], [0.0, 0.0], [0.0, 0.0]]))
        head.linear.bias.copy_(torch.tensor([0.0, 0.0, math.log(2), 0.0]))
    weights = head(torch.tensor([[math.log(3), 0.0], [0.0, math.log(16)]]))
    expected = torch.tensor([[3 * 4 / 7, 4 / 8], [4 / 7, 4 * 4 / 8], [2 * 4 / 7, 2 * 4 / 8], [4 / 7, 4 / 8]])
    torch.testing.assert_close(weights, expected)


def test_weights_of_each_sample_sum_to_4_whatever_the_batch() -> None:
    head, pooled = StageWeightHead(3).double(), means(5)
    weights = head(pooled)
    assert weights.shape == (4, 5)
    torch.testing.assert_close(weights.sum(dim=0), torch.full((5,), 4.0, dtype=torch.float64))
    torch.testing.assert_close(head(pooled[3:4]), weights[:, 3:4])


def test_the_head_learns_and_the_teacher_does_not() -> None:
    head, pooled = StageWeightHead(3).double(), means().requires_grad_()
    (head(pooled) * torch.arange(4.0)[:, None]).sum().backward()
    assert pooled.grad is None
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


def test_gradcheck() -> None:
    head, pooled = StageWeightHead(3).double(), means()
    names, values = zip(*head.named_parameters(), strict=True)

    def weights(*parameters: Tensor) -> Tensor:
        return torch.func.functional_call(head, dict(zip(names, parameters, strict=True)), pooled)

    assert names == ("linear.weight", "linear.bias")
    assert torch.autograd.gradcheck(weights, values)


def test_at_least_float32_under_autocast() -> None:
    head, pooled = StageWeightHead(3), means()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = head(pooled.bfloat16())
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.sum(dim=0), torch.full((2,), 4.0))


@pytest.mark.parametrize("batch", [1, 3])
def test_fixed_weights_are_the_same_for_every_sample(batch: int) -> None:
    weights = fixed_stage_weights(StageWeights(stage1=0.5, stage2=2, stage3=0, stage4=1.5), batch)
    assert weights.tolist() == [[0.5] * batch, [2.0] * batch, [0.0] * batch, [1.5] * batch]
    assert not weights.requires_grad
