"""L2 distances between images: what must compare equal is computed once, and so in one way.

Two products of different shape round differently, and so may two places of one product. Images with the same embedding
therefore share one row and one column, and an image is at the least distance of all from its own copies.

Shapes
    N  images, D  embedding size, U  distinct embeddings, C  rows of one chunk
"""

import math

import torch
from torch import Tensor


def condition(embeddings: Tensor) -> Tensor:
    """Scales and moves embeddings (N, D) so that squared distances neither overflow nor cancel; same shape and dtype.

    The scale is a power of two, which is exact, and the origin becomes the median, which keeps whole numbers whole and
    thus exact ties exact. No ranking depends on either.
    """
    _, exponent = torch.frexp(embeddings.abs().max())
    _, limit = math.frexp(torch.finfo(embeddings.dtype).max)
    scaled = torch.ldexp(embeddings, -exponent.clamp(8 - limit, limit - 8))
    return scaled - scaled.median(dim=0).values


class Distances:
    """Squared L2 distances between images by their embeddings (N, D), row by row.

    They are as far from exact as rounding makes them, perhaps below 0, which is fine for ranking.

    Attributes:
        rows: (N,) int64: the distinct embedding, 0 to U - 1, that each image has
        dtype: of the distances
    """

    def __init__(self, embeddings: Tensor) -> None:
        first, self.rows = distinct_rows(embeddings)
        values = embeddings if len(first) == len(embeddings) else embeddings[first]
        norms = values.square().sum(1, keepdim=True)
        self._entries = torch.cat([values, norms, torch.ones_like(norms)], dim=1)  # rows (x, |x|^2, 1): (U, D + 2)
        self.dtype = embeddings.dtype

    @property
    def least(self) -> float:
        """What an image is from its own copies."""
        return float(torch.finfo(self.dtype).min)

    def to_images(self, distinct: Tensor) -> Tensor:
        """Distances to all images (C, N), of those to the distinct embeddings (C, U)."""
        return distinct if len(self._entries) == len(self.rows) else distinct.index_select(1, self.rows)

    def to_distinct(self, rows: Tensor) -> Tensor:
        """Distances (C, U) from the distinct embeddings `rows` (C,) to all distinct ones."""
        return self._product(self._entries[rows], self._entries).scatter_(1, rows[:, None], self.least)

    def from_images(self, images: Tensor) -> Tensor:
        """Distances (C, N) from `images` (C,) to all images."""
        return self.to_images(self.to_distinct(self.rows[images]))

    def from_embeddings(self, values: Tensor) -> Tensor:
        """Distances (C, N) from any embeddings (C, D) to all images."""
        norms = values.square().sum(1, keepdim=True)
        return self.to_images(self._product(torch.cat([values, norms], dim=1), self._entries))

    def among(self, rows: Tensor) -> Tensor:
        """Distances (C, C) between the distinct embeddings `rows` (C,), symmetric to the last bit."""
        own = self._entries[rows]
        upper = self._product(own, own).triu_(1)
        return (upper + upper.T).fill_diagonal_(self.least)

    def _product(self, own: Tensor, entries: Tensor) -> Tensor:
        """One product: rows (x, |x|^2, ...) as (-2x, 1, |x|^2) times the entries."""
        dimensions = entries.shape[1] - 2
        norms = own[:, dimensions : dimensions + 1]
        probes = torch.cat([-2 * own[:, :dimensions], torch.ones_like(norms), norms], dim=1)
        with torch.autocast(own.device.type, enabled=False):  # a caller's bf16 would leave two digits
            return probes @ entries.T


def distinct_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of values (N, D): where each distinct row occurs first (U,) int64, ascending, and which of them each is (N,).

    Whole rows are compared among those alone whose first number occurs twice: mostly none.
    """
    original = torch.arange(len(values), device=values.device)
    _, inverse, counts = torch.unique(values[:, 0], return_inverse=True, return_counts=True)
    doubtful = torch.nonzero(counts[inverse] > 1).squeeze(1)
    if len(doubtful):
        distinct, inverse = torch.unique(values[doubtful], dim=0, return_inverse=True)
        places = torch.full((len(distinct),), len(values), device=values.device)
        original[doubtful] = places.scatter_reduce(0, inverse, doubtful, "amin")[inverse]
    first, rows = torch.unique(original, return_inverse=True)
    return first, rows
