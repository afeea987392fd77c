"""Images in, embeddings out.

Shapes: n images of a split, U distinct ones, S image size, D embedding size.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from owkd.device import to_images

BATCH_SIZE = 64


def embed_images(
    embed: Callable[[Tensor], Tensor], images: NDArray[np.uint8], device: torch.device, batch_size: int = BATCH_SIZE
) -> Tensor:
    """Embeddings (n, D) float32 on the device of images (n, S, S, 3) uint8, without gradients.

    Equal images are embedded once. A network does not round alike in every place of every batch, and of blank or
    repeated images those of one place would be closer to each other.
    """
    first, which = distinct_images(images)
    with torch.inference_mode():
        parts = [
            embed(to_images(images[_chosen(first[start : start + batch_size])], device)).float()
            for start in range(0, len(first), batch_size)
        ]
    embeddings = torch.cat(parts)
    return embeddings if len(first) == len(images) else embeddings[torch.as_tensor(which, device=device)]


def distinct_images(images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each distinct one of images (n, S, S, 3) stands first (U,), ascending, and which of these each is (n,)."""
    seen: dict[bytes, int] = {}
    places = [seen.setdefault(hashlib.blake2b(image, digest_size=16).digest(), i) for i, image in enumerate(images)]
    first, which = np.unique(np.array(places, dtype=np.int64), return_inverse=True)
    return first, which


def _chosen(positions: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """As a slice where they follow on each other, which copies nothing."""
    start, end = int(positions[0]), int(positions[-1]) + 1
    return slice(start, end) if end - start == len(positions) else positions
