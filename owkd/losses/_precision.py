"""One rule for all losses: never below float32, whatever precision the networks computed in."""

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor itself if it is float32 or float64, else its float32 copy; any shape, differentiable."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
