"""How learning rates change over a training: a factor for each step."""

from __future__ import annotations

import math
from collections.abc import Callable

from owkd.config import TrainConfig

RateFactor = Callable[[float], float]
"""epochs that are behind, with their fraction -> what every learning rate is multiplied by"""
WARM_UP_FROM = 0.1
"""factor of the first step of a warm-up, as in fast-reid's recipes"""


def constant_rate(behind: float) -> float:
    """1: the published way."""
    return 1.0


def cosine_decay(progress: float) -> float:
    """`(1 + cos(pi progress)) / 2` of the share of a training that is behind: from 1 to 0 (Loshchilov and Hutter 2017),
    without restarts."""
    return (1 + math.cos(math.pi * progress)) / 2


def rate_factor(train: TrainConfig) -> RateFactor:
    """As configured: the decay, times a factor that rises linearly from 0.1 to 1 over the epochs of the warm-up.

    Without decay the number of epochs plays no part, so that a training can go further than was planned.
    """

    def factor(behind: float) -> float:
        decay = cosine_decay(behind / train.epochs) if train.learning_rate_decay == "cosine" else 1.0
        if not train.warmup_epochs:
            return decay
        return decay * (WARM_UP_FROM + (1 - WARM_UP_FROM) * min(1.0, behind / train.warmup_epochs))

    return factor
