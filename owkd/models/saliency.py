"""Weak saliency: a second pass in which each stage's input is dimmed where the first pass saw the most.

Shapes: B batch, C channels and H x W map size of one stage.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

THRESHOLD = 0.01


class WeakSaliency(nn.Module):
    """The dimming factor of one stage, from the first pass's feature of the same stage."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, kernel_size=1, bias=False)
        self.scale = nn.Parameter(torch.ones(1))
        self.strength = nn.Parameter(torch.ones(1))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) first-pass feature -> factor (B, C, H, W): `1 - strength * sigmoid(scale * m)`.

        `m` is the thresholded 1x1 convolution of the channel mean of the feature weighted by its own spatial mean. The
        threshold is positive, so it takes in the rectification that is published in front of it.
        """
        weighted = feature * feature.mean(dim=(2, 3), keepdim=True)
        saliency = functional.threshold(self.conv(weighted.mean(dim=1, keepdim=True)), THRESHOLD, 0.0)
        return 1 - self.strength * torch.sigmoid(self.scale * saliency)
