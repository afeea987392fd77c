"""Backward passes of our own against those that autograd derives from the plain formulas."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from owkd.models import functions
from owkd.models.blocks import ConvNextBlock
from owkd.models.functions import depthwise_conv, gelu_linear

pytestmark = pytest.mark.numeric

Function = Callable[[Tensor, Tensor, Tensor], Tensor]
PLAIN: dict[str, Function] = {
    "depthwise": lambda x, weight, bias: functional.conv2d(x, weight, bias, padding=3, groups=len(weight)),
    "gelu_linear": lambda x, weight, bias: functional.linear(functional.gelu(x), weight, bias),
}
OURS: dict[str, Function] = {"depthwise": depthwise_conv, "gelu_linear": gelu_linear}
SHAPES = {"depthwise": [(3, 4, 5, 6), (4, 1, 7, 7), (4,)], "gelu_linear": [(3, 5, 6, 8), (2, 8), (2,)]}
EACH = pytest.mark.parametrize("name", list(OURS))


def leaves(name: str, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Input, weight and bias."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in SHAPES[name]]
    if name == "depthwise":
        drawn[0] = drawn[0].contiguous(memory_format=torch.channels_last)
    return [tensor.requires_grad_() for tensor in drawn]


def answer(function: Function, tensors: list[Tensor]) -> list[Tensor]:
    """The result and the gradients of everything that takes one."""
    result = function(*tensors)
    upstream = torch.randn(result.shape, generator=torch.Generator().manual_seed(1)).to(result.dtype)
    return [result.detach(), *torch.autograd.grad(result, [t for t in tensors if t.requires_grad], upstream)]


@EACH
@pytest.mark.parametrize("part", [functions.PART, 1], ids=["whole batch", "sample by sample"])
def test_numbers_are_those_of_the_plain_formula(name: str, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "PART", part)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        for ours, plain in zip(
            answer(OURS[name], leaves(name, dtype)), answer(PLAIN[name], leaves(name, dtype)), strict=True
        ):
            assert ours.dtype == dtype
            torch.testing.assert_close(ours, plain, rtol=tolerance, atol=tolerance)


@EACH
def test_gradients_are_those_of_the_function(name: str) -> None:
    assert torch.autograd.gradcheck(OURS[name], leaves(name, torch.float64))


@EACH
@pytest.mark.parametrize("fixed", [(0,), (1,), (2,), (0, 1)], ids=str)
def test_what_takes_no_gradient_gets_none(name: str, fixed: tuple[int, ...]) -> None:
    both = []
    for function in (OURS[name], PLAIN[name]):
        tensors = leaves(name, torch.float64)
        for index in fixed:
            tensors[index].requires_grad_(False)
        both.append(answer(function, tensors))
    torch.testing.assert_close(*both)


@EACH
def test_autocast_reaches_it(name: str) -> None:
    def cast(function: Function) -> Function:
        def run(*tensors: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return function(*tensors)

        return run

    # gelu is not cast by autocast; in a block it gets what a linear layer, which is, has put out.
    def half_input() -> list[Tensor]:
        x, *rest = leaves(name)
        return [x.detach().to(torch.bfloat16).requires_grad_(), *rest]

    ours, plain = answer(cast(OURS[name]), half_input()), answer(cast(PLAIN[name]), half_input())
    exact = answer(PLAIN[name], leaves(name))
    assert [tensor.dtype for tensor in ours] == [tensor.dtype for tensor in plain]
    assert ours[0].dtype == torch.bfloat16
    for rough, stock, right in zip(ours, plain, exact, strict=True):
        error, usual = (float((tensor.float() - right).norm() / right.norm()) for tensor in (rough, stock))
        assert error <= 1.5 * usual + 1e-3


@EACH
def test_without_gradients_nothing_of_ours_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter sees the plain operations."""
    for own in ("_DepthwiseConv", "_GeluLinear"):
        monkeypatch.delattr(functions, own)
    with torch.no_grad():
        torch.testing.assert_close(OURS[name](*leaves(name)), PLAIN[name](*leaves(name)))


def test_a_block_keeps_one_tensor_of_its_widest_size() -> None:
    block = ConvNextBlock(4)
    sizes: list[int] = []

    def measured(kept: Tensor) -> Tensor:
        sizes.append(kept.numel())
        return kept

    with torch.autograd.graph.saved_tensors_hooks(measured, lambda kept: kept):
        block(torch.randn(2, 4, 8, 8))
    assert sizes.count(2 * 16 * 8 * 8) == 1
    assert max(sizes) == 2 * 16 * 8 * 8
