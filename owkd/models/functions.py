"""Operations of a ConvNeXt block with backward passes of their own: the same numbers in less time, or less memory.

Shapes: B batch, C channels, H x W map size, k kernel size (odd), D and E features before and behind a linear layer.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Elements of the maps whose weight gradient is computed at a time: beyond it they fall out of a CPU's caches.
PART = 2**21


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`conv2d` of every channel with a kernel of its own, padded to the same size.

    x (B, C, H, W), weight (C, 1, k, k), bias (C,) or None, of one dtype or under autocast -> (B, C, H, W). On a CPU
    the weight's gradient comes from another depthwise convolution, several times as fast as oneDNN's backward pass.
    """
    if torch.is_grad_enabled() and x.device.type == "cpu" and torch.backends.mkldnn.is_available():
        y: Tensor = _DepthwiseConv.apply(*_as_autocast(x, weight, bias))  # type: ignore[no-untyped-call]
        return y
    return _depthwise(x, weight, bias)


def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`linear(gelu(x), weight, bias)`, which keeps x for its backward pass and computes gelu(x) there again.

    x (..., D), weight (E, D), bias (E,), of one dtype or under autocast -> (..., E).
    """
    if torch.is_grad_enabled():
        y: Tensor = _GeluLinear.apply(*_as_autocast(x, weight, bias))  # type: ignore[no-untyped-call]
        return y
    return functional.linear(functional.gelu(x), weight, bias)


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _depthwise(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        return (
            _depthwise(upstream, weight.flip(2, 3)) if wants_x else None,
            _weight_gradient(x, upstream, weight) if wants_weight else None,
            upstream.sum(dim=(0, 2, 3)) if wants_bias else None,
        )


class _GeluLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.linear(functional.gelu(x), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        rows = upstream.flatten(0, -2)
        return (
            torch.ops.aten.gelu_backward(upstream @ weight, x) if wants_x else None,
            rows.mT @ functional.gelu(x).flatten(0, -2) if wants_weight else None,
            rows.sum(dim=0) if wants_bias else None,
        )


def _as_autocast(x: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor | None]:
    """All in the dtype of autocast, which does not look into functions of our own, or as they are."""
    device, tensors = x.device.type, (x, weight, bias)
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)
    return [None if tensor is None else tensor.to(dtype) for tensor in tensors]


def _depthwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))


def _weight_gradient(x: Tensor, upstream: Tensor, weight: Tensor) -> Tensor:
    """Every map (H, W) of x convolved with its upstream gradient as the kernel, then summed over the batch.

    oneDNN's own way takes 2 to 20 times as long in float32 and up to 40 times in bfloat16, so these products are
    float32 whatever the network computes in.
    """
    gradient = torch.zeros(weight.shape, dtype=torch.promote_types(weight.dtype, torch.float32))
    at_once = max(1, PART // x[0].numel())
    for maps, kernels in zip(x.split(at_once), upstream.split(at_once), strict=True):
        batch, channels, height, width = maps.shape
        maps = maps.permute(2, 3, 0, 1).flatten(2).to(gradient.dtype)
        kernels = kernels.reshape(batch * channels, 1, height, width).to(gradient.dtype)
        each = functional.conv2d(
            maps.permute(2, 0, 1)[None], kernels, padding=weight.shape[-1] // 2, groups=batch * channels
        )
        gradient += each.view(batch, *weight.shape).sum(dim=0)
    return gradient.to(weight.dtype)
