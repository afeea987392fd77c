"""Query expansion: a query and its nearest images, as one query (Chum et al., Total Recall, ICCV 2007).

Shapes: N images, D embedding size, C queries of one chunk, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from owkd.evaluation.ranking.distances import Distances
from owkd.evaluation.ranking.nearest import drawn_lots, nearest


class ExpandedQueries:
    """Squared L2 distances from expanded queries: q' = (q + sum of its k nearest images) / (k + 1).

    Neighbours are images that the query may see; where these are fewer than k, all of them. Memory: that of a chunk.
    """

    def __init__(self, embeddings: Tensor, k: int, left_out: Callable[[Tensor], Tensor]) -> None:
        """embeddings (N, D); `left_out` of queries (C,): which images they do not see (C, N)."""
        self._distances = Distances(embeddings)
        self._embeddings, self._k, self._left_out = embeddings, k, left_out
        self._lots = drawn_lots(len(embeddings), embeddings.device)
        self.dtype = embeddings.dtype

    def from_images(self, queries: Tensor) -> Tensor:
        """Distances (C, N) from the expanded queries, which are images `queries` (C,), to all images."""
        distances = self._distances.from_images(queries).masked_fill_(self._left_out(queries), torch.inf)
        positions = nearest(distances, self._k, self._lots)
        seen = distances.gather(1, positions).isfinite()
        total = (self._embeddings[positions] * seen[..., None]).sum(1) + self._embeddings[queries]
        return self._distances.from_embeddings(total / (seen.sum(1, keepdim=True) + 1))
