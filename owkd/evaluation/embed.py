"""Images in, embeddings out.

Shapes: n images of a split, S image size, D embedding size.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from owkd.device import to_images

BATCH_SIZE = 64


def embed_images(
    embed: Callable[[Tensor], Tensor], images: np.ndarray, device: torch.device, batch_size: int = BATCH_SIZE
) -> Tensor:
    """Embeddings (n, D) float32 on the device of images (n, S, S, 3) uint8, without gradients."""
    with torch.inference_mode():
        parts = [
            embed(to_images(images[start : start + batch_size], device)).float()
            for start in range(0, len(images), batch_size)
        ]
    return torch.cat(parts)
