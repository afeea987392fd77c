"""Re-ranking with k-reciprocal encoding (Zhong, Zheng, Cao and Li, Re-ranking Person Re-identification, CVPR 2017).

With d the squared distances of a row over the largest of that row, N(i, k) the image i and its k nearest others, and
R(i, k) = {j in N(i, k): i in N(j, k)} its k-reciprocal neighbours:

    R*(i)   = R(i, k1), and R(j, k1 / 2) of each j in R(i, k1) that shares more than two thirds of it with R(i, k1)
    V(i, j) = exp(-d(i, j)) / sum of these, for j in R*(i); else 0
    V'(i)   = the mean of V over the k2 nearest of i, itself among them
    J(i, j) = 1 - s / (2 - s),    s = sum over c of min(V'(i, c), V'(j, c))

and the new distance is (1 - w) J + w d. Nothing of size N x N is held: rows of distances are made chunk by chunk, and
V' is stored sparse, at most k2 (k1 + 1) (k1 / 2 + 2) numbers a row and mostly a tenth of that.

Shapes
    N  images, K = k1 + 1, H = k1 / 2 + 1 neighbours, C  rows of one chunk, E  entries of a sparse table
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from owkd.evaluation.ranking.distances import Distances
from owkd.evaluation.ranking.nearest import drawn_lots, nearest

ROWS = 128
"""of a chunk, here"""
TERMS = 2**21
"""of sums, at a time"""


@dataclass(frozen=True)
class _Sparse:
    """A table of N rows: the entries of row i stand at starts[i] to starts[i + 1].

    Attributes:
        starts: (N + 1,) int64
        columns: (E,) int64
        values: (E,) float64
    """

    starts: Tensor
    columns: Tensor
    values: Tensor

    def entries(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Of the entries of `rows` (C,): which of these rows each is in, and where it stands."""
        sizes = self.starts[rows + 1] - self.starts[rows]
        owner = torch.repeat_interleave(sizes)
        begin = self.starts[rows] - (sizes.cumsum(0) - sizes)
        return owner, begin[owner] + torch.arange(len(owner), device=owner.device)


class Reranked:
    """The new distances, row by row, of all images with embeddings (N, D).

    Attributes:
        dtype: float64
    """

    dtype = torch.float64

    def __init__(self, embeddings: Tensor, k1: int, k2: int, weight: float) -> None:
        self._distances, self._weight, self._count = Distances(embeddings), weight, len(embeddings)
        lots = drawn_lots(self._count, embeddings.device)
        everybody = torch.arange(self._count, device=embeddings.device)
        neighbours = torch.cat([nearest(self._rows(rows)[1], k1 + 1, lots) for rows in everybody.split(ROWS)])
        encoded = _joined([self._encoded(rows, neighbours, k1) for rows in everybody.split(ROWS)], self._count)
        if k2 > 1:
            parts = [_averaged(encoded, rows, neighbours[rows, :k2]) for rows in everybody.split(ROWS)]
            encoded = _joined(parts, self._count)
        self._encoding = encoded
        self._by_column = _transposed(encoded, self._count)

    def from_images(self, queries: Tensor) -> Tensor:
        """New distances (C, N) from the images `queries` (C,) to all."""
        own, column = self._encoding, self._by_column
        owner, place = own.entries(queries)
        sizes = column.starts[own.columns[place] + 1] - column.starts[own.columns[place]]
        shared = torch.zeros(len(queries) * self._count, dtype=torch.float64, device=queries.device)
        for part in _pieces(sizes):
            which, other = column.entries(own.columns[place[part]])
            least = torch.minimum(own.values[place[part]][which], column.values[other])
            shared.index_add_(0, owner[part][which] * self._count + column.columns[other], least)
        jaccard = 1 - shared / (2 - shared)
        scaled = self._rows(queries)[0].double()
        return jaccard.reshape(scaled.shape).mul_(1 - self._weight).add_(scaled, alpha=self._weight)

    def _rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (C, N) over the largest of each row; and the same for sorting, an image itself ahead of all."""
        scaled = self._distances.from_images(rows).clamp_(min=0)
        scaled /= scaled.max(1, keepdim=True).values.clamp(min=torch.finfo(scaled.dtype).tiny)
        return scaled, scaled.scatter(1, rows[:, None], -1)

    def _encoded(self, rows: Tensor, neighbours: Tensor, k1: int) -> tuple[Tensor, Tensor]:
        """The rows' entries of V: keys `row * N + column`, ascending, and values."""
        half = neighbours[:, : round(k1 / 2) + 1]
        own = neighbours[rows]
        mutual = _mutual(rows, own, neighbours)
        candidates = half[own]  # (C, K, H)
        theirs = _mutual(own.flatten(), candidates.flatten(0, 1), half).reshape(candidates.shape)
        shared = torch.zeros_like(theirs)
        for place in range(own.shape[1]):
            shared |= (candidates == own[:, place, None, None]) & mutual[:, place, None, None]
        enough = 3 * (shared & theirs).sum(2) > 2 * theirs.sum(2)
        added = theirs & (enough & mutual)[..., None]
        lines = rows[:, None] * self._count
        keys = torch.unique(torch.cat([(lines + own)[mutual], (lines[..., None] + candidates)[added]]))
        line, column = keys // self._count - rows[0], keys % self._count
        weights = torch.exp(-self._rows(rows)[0].double()[line, column])
        return keys, weights / torch.zeros(len(rows), device=keys.device).double().index_add_(0, line, weights)[line]


def _mutual(rows: Tensor, own: Tensor, neighbours: Tensor) -> Tensor:
    """Whether each row (C,) is among the neighbours (N, k) of its own (C, m): (C, m)."""
    return (neighbours[own] == rows[:, None, None]).any(2)


def _averaged(table: _Sparse, rows: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row (C,) the mean of the table's rows `over` (C, k): keys and values as `_encoded` gives them."""
    count = len(table.starts) - 1
    owner, place = table.entries(over.flatten())
    keys, inverse = torch.unique(rows[owner // over.shape[1]] * count + table.columns[place], return_inverse=True)
    sums = torch.zeros(len(keys), device=keys.device).double().index_add_(0, inverse, table.values[place])
    return keys, sums / over.shape[1]


def _joined(parts: list[tuple[Tensor, Tensor]], count: int) -> _Sparse:
    keys, values = (torch.cat(column) for column in zip(*parts, strict=True))
    return _from_keys(keys, values, count)


def _from_keys(keys: Tensor, values: Tensor, count: int) -> _Sparse:
    starts = torch.searchsorted(keys, torch.arange(count + 1, device=keys.device) * count)
    return _Sparse(starts, keys % count, values)


def _transposed(table: _Sparse, count: int) -> _Sparse:
    rows = torch.repeat_interleave(table.starts.diff())
    keys, order = (table.columns * count + rows).sort()
    return _from_keys(keys, table.values[order], count)


def _pieces(sizes: Tensor) -> list[slice]:
    """Runs of entries whose `sizes` add up to little more than `TERMS` at most."""
    piece = (sizes.cumsum(0) - 1).clamp(min=0) // TERMS
    ends = torch.nonzero(piece.diff()).squeeze(1).add(1).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], [*ends, len(sizes)], strict=True)]
