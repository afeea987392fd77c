"""Building blocks: channel layer norm, ConvNeXt block, CBAM, ECA.

Shapes: B batch, C channels, H x W map size; maps are (B, C, H, W) in channels_last memory.
"""

import torch
from torch import Tensor, nn

from owkd.models.functions import depthwise_conv, gelu_linear

LAYER_NORM_EPS = 1e-6
LAYER_SCALE_INIT = 1e-6


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of a map (B, C, H, W), at every position on its own."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DepthwiseConv(nn.Conv2d):
    """7x7 convolution of every channel on its own."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel_size=7, padding=3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return depthwise_conv(x, self.weight, self.bias)


class GeluLinear(nn.Linear):
    """A linear layer behind a GELU."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., E)."""
        return gelu_linear(x, self.weight, self.bias)


class ConvNextBlock(nn.Module):
    """7x7 depthwise convolution, layer norm, inverted bottleneck with GELU, layer scale, shortcut (Liu et al. 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv(channels)
        self.norm = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.expand = nn.Linear(channels, 4 * channels)
        self.project = GeluLinear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), LAYER_SCALE_INIT))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.project(self.expand(y))
        return torch.add(x, y.permute(0, 3, 1, 2))


class Cbam(nn.Module):
    """Convolutional block attention: a channel gate, then a spatial gate (Woo et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)  # with a single hidden unit a narrow net's gate dies
        self.channel_mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.spatial_conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.spatial_norm = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the gated map (B, C, H, W) and the spatial gate (B, 1, H, W) in (0, 1)."""
        pooled = self.channel_mlp(x.mean(dim=(2, 3))) + self.channel_mlp(x.amax(dim=(2, 3)))
        x = x * torch.sigmoid(pooled)[:, :, None, None]
        summary = torch.cat((x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)), dim=1)
        gate = torch.sigmoid(self.spatial_norm(self.spatial_conv(summary)))
        return x * gate, gate


class EfficientChannelAttention(nn.Module):
    """A gate per channel from a 1-D convolution across the pooled channels (ECA-Net, Wang et al. 2020)."""

    def __init__(self, kernel_size: int = 9) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        gate = torch.sigmoid(self.conv(x.mean(dim=(2, 3))[:, None, :]))
        return x * gate[:, 0, :, None, None]
