"""GCE-Net: joins both backbones, the attention and the image itself into the embedding of the whole ensemble.

Shapes: B batch, C channels of the last stage, H x W its map size, S image size (S = stride * H), K identities,
G = C + 1 + stride^2 channels of the input (1793 as published).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from owkd.models.blocks import EfficientChannelAttention
from owkd.models.outputs import GceOutput

REDUCTION_GROUP = 32
CARDINALITY = 32
LUMA = (0.2989, 0.587, 0.114)


def reduce_channels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C/2, H, W): neighbouring channels averaged, then reordered pair by pair over the groups.

    With C/32 groups g of 32 channels, `out[j * C/32 + g] = (in[32 g + 2 j] + in[32 g + 2 j + 1]) / 2`, j = 0..15.
    """
    b, c, h, w = x.shape
    pairs = x.reshape(b, c // REDUCTION_GROUP, REDUCTION_GROUP // 2, 2, h, w).mean(dim=3)
    return pairs.transpose(1, 2).reshape(b, c // 2, h, w)


def image_tiles(images: Tensor, stride: int) -> Tensor:
    """(B, 3, S, S) -> (B, stride^2, S/stride, S/stride): the gray image cut into tiles, one channel a tile.

    Channel `column * stride + row` holds the tile in that row and column (ITU-R BT.601 luma).
    """
    red, green, blue = images.unbind(dim=1)
    gray = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    b, s, _ = gray.shape
    side = s // stride
    tiles = gray.reshape(b, stride, side, stride, side)
    return tiles.permute(0, 3, 1, 2, 4).reshape(b, stride * stride, side, side)


def gce_input(original: Tensor, attention: Tensor, gate: Tensor, images: Tensor) -> Tensor:
    """The published order: reduced original map, reduced attention map, spatial gate, image tiles.

    original, attention: (B, C, H, W); gate: (B, 1, H, W); images: (B, 3, S, S) -> (B, G, H, W).
    """
    stride = images.shape[2] // original.shape[2]
    parts = (reduce_channels(original), reduce_channels(attention), gate, image_tiles(images, stride))
    return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)


class GceBlock(nn.Module):
    """Grouped bottleneck with channel attention: 1x1, grouped 3x3, 1x1, ECA, shortcut, each with batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 2
        self.conv1 = nn.Conv2d(channels, hidden, kernel_size=1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1, groups=CARDINALITY)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, channels, kernel_size=1)
        self.norm3 = nn.BatchNorm2d(channels)
        self.attention = EfficientChannelAttention()

    def forward(self, x: Tensor) -> Tensor:
        """(B, G, H, W) -> the same."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = functional.relu(self.norm2(self.conv2(y)))
        y = self.attention(self.norm3(self.conv3(y)))
        return functional.relu(x + y)


class GceNet(nn.Module):
    """Three blocks, a spatial mean and a classifier.

    The net of a student that is narrower than its teacher (`meets`: channels of the teacher's) carries a 1x1 projection
    for its input and each block, through which they meet the teacher's while it learns.
    """

    def __init__(self, channels: int, num_classes: int, meets: int | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(GceBlock(channels) for _ in range(3))
        self.head = nn.Linear(channels, num_classes)
        self.projections = (
            None if meets is None else nn.ModuleList(nn.Conv2d(channels, meets, kernel_size=1) for _ in range(4))
        )

    def forward(self, x: Tensor) -> GceOutput:
        """(B, G, H, W) -> typed result."""
        maps = [x]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        embedding = maps[-1].mean(dim=(2, 3))
        if self.projections is not None and self.training:
            maps = [projection(map_) for projection, map_ in zip(self.projections, maps, strict=True)]
        return GceOutput(
            input=maps[0],
            layers=(maps[1], maps[2], maps[3]),
            embedding=embedding,
            logits=self.head(embedding),
        )
