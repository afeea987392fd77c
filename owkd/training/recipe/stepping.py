"""What happens around each step of an optimizer."""

from __future__ import annotations

from typing import TypeVar, cast

from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Model = TypeVar("Model", bound=nn.Module)


def clip_gradients(optimizer: Optimizer, norm: float) -> None:
    """From now on, before each step, scales all gradients down together to this L2 norm where they exceed it."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    optimizer.register_step_pre_hook(lambda *_: _clip(parameters, norm))


def average_weights(model: Model, optimizer: Optimizer, decay: float) -> tuple[nn.Module, Model]:
    """A copy of the model that follows it: after each step `copy = decay copy + (1 - decay) model` -> what has to be
    saved of it, and the copy.

    Statistics of batch norms are averaged like weights. The first step is copied.
    """
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    optimizer.register_step_post_hook(lambda *_: average.update_parameters(model))
    return average, cast("Model", average.module)


def _clip(parameters: list[nn.Parameter], norm: float) -> None:
    nn.utils.clip_grad_norm_(parameters, norm)
