"""Ranked lists, without ever holding or sorting all distances.

Average precision, CMC and mINP depend on nothing but the ranks of the matches, and the rank of a match is its place
among the matches plus the number of other images that are closer. So each distance is looked up among the few sorted
distances of its query's matches, and the look-ups are counted: less work than a sort, exact ties included.

Shapes
    Q  queries, N  images, D  embedding size, C  queries in one chunk, M  most matches of any query in the chunk
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from owkd.evaluation.ranking.distances import Distances
from owkd.evaluation.ranking.people import first_person_by
from owkd.evaluation.ranking.ties import CMC_RANKS, RECALL_POINTS, Blocks, MatchRanks, summary

CHUNK_BYTES = 2**26

Hidden = Callable[[Tensor, Tensor], Tensor]
"""of queries (C, 1) and images (C, M) or (1, N), as positions: whether the image is left out of the query's list"""


@dataclass(frozen=True)
class Images:
    """Embedded images, all tensors on one device. A query never meets itself.

    Attributes:
        embeddings: (N, D) float32 or float64
        identities: (N,) int64
        hidden: what else is left out of which list; None: nothing
        distances: other distances than those of the embeddings, as re-ranking makes them
    """

    embeddings: Tensor
    identities: Tensor
    hidden: Hidden | None = None
    distances: "Rows | None" = None


class Rows(Protocol):
    """Distances, row by row.

    Attributes:
        dtype: of the distances
    """

    dtype: torch.dtype

    def from_images(self, images: Tensor, /) -> Tensor:
        """A new tensor (C, N): from `images` (C,), as positions, to all images."""


@torch.no_grad()
def rank_queries(
    images: Images, queries: Tensor, *, by_identity: bool = False, chunk_bytes: int = CHUNK_BYTES
) -> MatchRanks:
    """Ranks all images by L2 distance for each query, an index into them: `queries` (Q,) int64.

    `by_identity`: CMC and first match count people instead of images, each where their closest image stands. Memory
    beside a copy of the embeddings: about `chunk_bytes`, whatever Q and N.
    """
    labels = torch.unique(images.identities, return_inverse=True)[1] if by_identity else None
    distances: Rows = Distances(images.embeddings) if images.distances is None else images.distances
    grouped = torch.argsort(images.identities, stable=True)
    ordered = images.identities[grouped]
    starts = torch.searchsorted(ordered, images.identities)
    sizes = torch.searchsorted(ordered, images.identities, right=True) - starts

    def chunks() -> Iterator[MatchRanks]:
        for rows in queries.split(_chunk_rows(len(images.identities), distances.dtype, chunk_bytes)):
            others = distances.from_images(rows)
            offsets = torch.arange(int(sizes[rows].max()), device=rows.device)
            columns = grouped[starts[rows, None] + offsets.minimum(sizes[rows, None] - 1)]
            valid = (offsets < sizes[rows, None]).logical_and_(columns != rows[:, None])
            if images.hidden is not None:
                valid.logical_and_(~images.hidden(rows[:, None], columns))
            matches = _sorted_matches(others.gather(1, columns), valid)
            others.scatter_(1, columns, torch.finfo(others.dtype).max)
            if images.hidden is not None:
                everybody = torch.arange(others.shape[1], device=rows.device)[None]
                others.masked_fill_(images.hidden(rows[:, None], everybody), torch.finfo(others.dtype).max)
            blocks = _blocks(matches, *_counts(matches, others))
            first = None
            if labels is not None:
                first = first_person_by(matches[:, 0], blocks.matches[:, 0], others, labels)
            yield summary(blocks, valid.sum(1), first)

    return _collected(chunks(), len(queries))


@torch.no_grad()
def rank_identities(images: Images, chunk_bytes: int = CHUNK_BYTES) -> MatchRanks:
    """One list an identity: each of its images against the others, all of these lists merged and sorted.

    Queries are the identities in ascending order. `hidden` has no part in it. Memory beside a copy of the embeddings:
    about `chunk_bytes`, plus the square of the number of images of the largest identity.
    """
    distances = Distances(images.embeddings)

    def lists() -> Iterator[MatchRanks]:
        for identity in people:
            members = torch.nonzero(images.identities == identity).squeeze(1)
            own, place, copies = torch.unique(distances.rows[members], return_inverse=True, return_counts=True)
            pairs = distances.among(own)
            apart = ~torch.eye(len(members), dtype=torch.bool, device=members.device)
            matches = _sorted_matches(_line(pairs[place][:, place]), _line(apart))
            closer, tied = (torch.zeros_like(matches, dtype=torch.int64) for _ in range(2))
            # Copies have the same distances: one row stands for them all. Pairs of the identity's own embeddings occur
            # in both directions, and so do those with others who have the same embedding: all are of one table.
            for times in copies.unique():
                for rows in torch.nonzero(copies == times).squeeze(1).split(step):
                    table = distances.to_distinct(own[rows])
                    table[:, own] = pairs[rows]
                    others = distances.to_images(table)
                    others[:, members] = torch.finfo(others.dtype).max
                    for total, part in zip((closer, tied), _counts(matches, _line(others)), strict=True):
                        total += times * part
            yield summary(_blocks(matches, closer, tied), _line(apart).sum(1))

    people = images.identities.unique()
    step = _chunk_rows(len(images.identities), distances.dtype, chunk_bytes)
    return _collected(lists(), len(people))


def left_out(images: Images, queries: Tensor) -> Tensor:
    """Which images are not in the lists of `queries` (C,): themselves and what is hidden from them, (C, N)."""
    everybody = torch.arange(len(images.identities), device=queries.device)[None]
    themselves = everybody == queries[:, None]
    return themselves if images.hidden is None else themselves | images.hidden(queries[:, None], everybody)


def _line(table: Tensor) -> Tensor:
    return table.reshape(1, -1)


def _chunk_rows(images: int, dtype: torch.dtype, chunk_bytes: int) -> int:
    """Queries whose distances, look-ups and masks fit together."""
    row = images * (2 * dtype.itemsize + 8)
    return max(1, chunk_bytes // row)


def _sorted_matches(distances: Tensor, valid: Tensor) -> Tensor:
    """Distances (C, M), ascending; what is not valid goes last: infinite."""
    return distances.masked_fill(~valid, torch.inf).sort(dim=1).values


def _counts(matches: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """How many of the others are not farther than each match, and how many are as far: (C, M) int64 each.

    matches (C, M): ascending, infinite at least in the last column, where the counts mean nothing. others (C, N):
    finite, the largest number of their dtype where not in the list. Of equal matches the first has those as far.
    """
    rows, width = matches.shape
    line = torch.arange(rows, device=matches.device)[:, None] * width
    # The slot of an image is the first match that is not closer; the infinite column sees to it that there is one.
    slots = torch.searchsorted(matches, others, out_int32=matches.numel() < 2**31).add_(line).flatten()
    equal = slots[matches.flatten().index_select(0, slots) == others.flatten()]
    not_farther = torch.bincount(slots, minlength=rows * width).reshape(rows, width).cumsum(1)
    return not_farther, torch.bincount(equal, minlength=rows * width).reshape(rows, width)


def _blocks(matches: Tensor, not_farther: Tensor, tied: Tensor) -> Blocks:
    """From the sorted matches (C, M) and `_counts` of the others."""
    start = torch.searchsorted(matches, matches)
    end = torch.searchsorted(matches, matches, right=True)
    others = tied.gather(1, start)
    return Blocks(before=start + not_farther - others, matches_before=start, matches=end - start, others=others)


def _collected(parts: Iterable[MatchRanks], lists: int) -> MatchRanks:
    """All parts as one, for as many lists as there are.

    The tensors are made beforehand: small ones that stay, made in between the large ones of the chunks, would break the
    freed memory up, and the process would grow with every chunk.
    """
    whole, done = _empty(lists), 0
    sums = {"cmc_sum": torch.zeros(CMC_RANKS).double(), "precision_sum": torch.zeros(RECALL_POINTS).double()}
    for part in parts:
        rows = slice(done, done + len(part.matches))
        for name, values in whole.items():
            values[rows] = getattr(part, name)
        for name, total in sums.items():
            total += getattr(part, name)
        done = rows.stop
    return MatchRanks(**whole, **sums)


def _empty(lists: int) -> dict[str, Tensor]:
    counts = torch.empty(2, lists, dtype=torch.int64)
    means = torch.empty(5, lists, dtype=torch.float64)
    names = ("average_precision", "rank_1", "first", "last", "inverse_penalty")
    return {"matches": counts[0], "tied": counts[1], **dict(zip(names, means, strict=True))}
