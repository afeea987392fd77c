"""How learning rates change over a training: a factor for each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from owkd.config import TrainConfig

RateFactor = Callable[[float], float]
"""the share of a training that is behind, in [0, 1) -> what every learning rate is multiplied by"""
WARM_UP_FROM = 0.1
"""factor of the first step of a warm-up, as in fast-reid's recipes"""


def constant_rate(progress: float) -> float:
    """1: the published way."""
    return 1.0


def cosine_decay(progress: float) -> float:
    """`(1 + cos(pi progress)) / 2`: from 1 to 0 over a training (Loshchilov and Hutter 2017), without restarts."""
    return (1 + math.cos(math.pi * progress)) / 2


DECAYS: Mapping[str, RateFactor] = {"none": constant_rate, "cosine": cosine_decay}
"""by `train.learning_rate_decay`"""


def rate_factor(train: TrainConfig) -> RateFactor:
    """As configured: the decay, times a factor that rises linearly from 0.1 to 1 over the epochs of the warm-up."""
    decay = DECAYS[train.learning_rate_decay]
    if not train.warmup_epochs:
        return decay

    def warmed(progress: float) -> float:
        share = min(1.0, progress * train.epochs / train.warmup_epochs)
        return decay(progress) * (WARM_UP_FROM + (1 - WARM_UP_FROM) * share)

    return warmed
