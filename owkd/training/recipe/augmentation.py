"""Augmentation of a batch: mirrored, cropped from a padded image, with a box erased.

What happens to each image is drawn on the CPU, from a generator of the epoch's own, so that a training comes out alike
after any stop; it is carried out where the images are.

Shapes: B batch, S image size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from owkd.config import TrainConfig
from owkd.device import send

ERASED_AREA = (0.02, 0.4)
ERASED_ASPECT = (0.3, 1 / 0.3)
ATTEMPTS = 100
"""Zhong et al. 2020, "Random Erasing Data Augmentation": shares of the image, height to width, and draws of a box"""


@dataclass(frozen=True)
class Changes:
    """What happens to the images of one batch, in this order.

    Attributes:
        flips: (B,) bool: mirrored left to right
        shifts: (B, 2) int64: how far the crop lies from the image's corner, down and to the right; None without crops
        boxes: (B, 4) int64: top, left, bottom, right of what is erased, all 0 for nothing; None without
    """

    flips: np.ndarray
    shifts: np.ndarray | None = None
    boxes: np.ndarray | None = None


@dataclass(frozen=True)
class Augmentation:
    """How a student's images are changed.

    Attributes:
        flip: half of them are mirrored
        padding: black pixels added on every side before a crop of the old size
        erasing: share of images of which a box is erased
    """

    flip: bool = False
    padding: int = 0
    erasing: float = 0.0

    @classmethod
    def of(cls, train: TrainConfig) -> Augmentation:
        """As configured."""
        return cls(train.flip, train.crop_padding, train.random_erasing)

    @property
    def is_storable(self) -> bool:
        """Whether the images that come out are few enough for a teacher's outputs to be stored for each."""
        return not (self.padding or self.erasing)

    def draw(self, rng: np.random.Generator, count: int, size: int) -> Changes | None:
        """For a batch of `count` images of `size` pixels a side; None where nothing is changed, and nothing drawn."""
        if self == UNCHANGED:
            return None
        return Changes(
            rng.random(count) < 0.5 if self.flip else np.zeros(count, bool),
            rng.integers(-self.padding, self.padding + 1, (count, 2)) if self.padding else None,
            np.array([self._box(rng, size) for _ in range(count)], np.int64) if self.erasing else None,
        )

    def _box(self, rng: np.random.Generator, size: int) -> tuple[int, int, int, int]:
        """Area and aspect uniform; none where no draw fits into the image."""
        if rng.random() >= self.erasing:
            return 0, 0, 0, 0
        for _ in range(ATTEMPTS):
            area, aspect = rng.uniform(*ERASED_AREA) * size**2, rng.uniform(*ERASED_ASPECT)
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < height < size and 0 < width < size:
                top, left = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
                return top, left, top + height, left + width
        return 0, 0, 0, 0


UNCHANGED = Augmentation()


def changed(images: Tensor, changes: Changes) -> Tensor:
    """Images (B, 3, S, S) in [0, 1] after `changes`, the same shape and memory order.

    What is erased takes the mean colour of the image, as it is then.
    """
    if changes.flips.any():
        images = torch.where(send(changes.flips, images.device)[:, None, None, None], images.flip(3), images)
    if changes.shifts is not None:
        images = _cropped(images, send(changes.shifts, images.device))
    if changes.boxes is not None:
        mean = images.mean(dim=(2, 3), keepdim=True)
        images = torch.where(_inside(send(changes.boxes, images.device), images.shape[3]), mean, images)
    return images.contiguous(memory_format=torch.channels_last)


def _cropped(images: Tensor, shifts: Tensor) -> Tensor:
    """What lies under a window moved by `shifts`; black where it reaches beyond the image."""
    size = images.shape[3]
    span = torch.arange(size, device=images.device)
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    rows, columns = (shifts[:, i, None] + span for i in (0, 1))
    pixels = images.permute(0, 2, 3, 1)[
        batch, rows.clamp(0, size - 1)[:, :, None], columns.clamp(0, size - 1)[:, None, :]
    ]
    within = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[:, None, :]
    return (pixels * within[..., None]).permute(0, 3, 1, 2)


def _inside(boxes: Tensor, size: int) -> Tensor:
    """(B, 4) -> (B, 1, S, S) bool."""
    span = torch.arange(size, device=boxes.device)
    top, left, bottom, right = (boxes[:, i, None] for i in range(4))
    rows, columns = (top <= span) & (span < bottom), (left <= span) & (span < right)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
