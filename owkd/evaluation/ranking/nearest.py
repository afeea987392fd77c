"""The k nearest images of a query. Where an image is exactly as far as another, a lot decides, never its place.

Shapes: N images, C rows of one chunk, k neighbours.
"""

import torch
from torch import Tensor


def drawn_lots(count: int, device: torch.device) -> Tensor:
    """The order in which equally far images count as neighbours, the same in every call: (count,) int64."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(device)


def nearest(distances: Tensor, k: int, lots: Tensor) -> Tensor:
    """Positions of the k smallest of the distances (C, N), the smallest first: (C, min(k, N)) int64."""
    k = min(k, distances.shape[1])
    farthest, positions = distances.topk(k, dim=1, largest=False)
    border = farthest.max(1).values
    for row in torch.nonzero((distances <= border[:, None]).sum(1) > k).squeeze(1):
        closer = torch.nonzero(distances[row] < border[row]).squeeze(1)
        tied = torch.nonzero(distances[row] == border[row]).squeeze(1)
        positions[row] = torch.cat([closer, tied[lots[tied].argsort()][: k - len(closer)]])
    positions = positions.gather(1, lots[positions].argsort(1))
    return positions.gather(1, distances.gather(1, positions).sort(dim=1, stable=True).indices)
