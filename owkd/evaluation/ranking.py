"""Where the matches of a query stand in its ranked list, without ever holding or sorting all distances.

Average precision, CMC and mINP depend on nothing but the ranks of the matches, and the rank of a match is its place
among the matches plus the number of other images that are closer. So each distance is looked up among the few sorted
distances of its query's matches, and the look-ups are counted: less work than a sort, exact ties included.

Shapes
    Q  queries, N  gallery images, D  embedding size, C  queries in one chunk
    M  most matches of any query in the chunk, R  points of the precision-recall curve

Ties: of two equally close images the one with the lower gallery position comes first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

RECALL_POINTS = 101
CHUNK_BYTES = 2**26


@dataclass(frozen=True)
class Images:
    """Embedded images, all tensors on one device. A query never meets gallery images of its own group."""

    embeddings: Tensor
    """(N, D) float32 or float64"""
    identities: Tensor
    """(N,) int64"""
    groups: Tensor
    """(N,) int64; the image's own number leaves out only the query itself, its camera the whole camera"""

    def __len__(self) -> int:
        return len(self.identities)

    def take(self, index: Tensor) -> "Images":
        """The images at `index`, (K,) int64, in that order."""
        return Images(self.embeddings[index], self.identities[index], self.groups[index])


@dataclass(frozen=True)
class MatchRanks:
    """What the ranked list of each query says about its matches; 0 where a query has none. On the CPU."""

    matches: Tensor
    """(Q,) int64: number of matches in the list"""
    average_precision: Tensor
    """(Q,) float64: sum over ranks of precision * recall step"""
    first: Tensor
    """(Q,) int64: rank of the closest match, from 1"""
    last: Tensor
    """(Q,) int64: rank of the farthest match, from 1"""
    precision_sum: Tensor
    """(R,) float64: precision at recall 0, 0.01, ..., 1, summed over the queries that have a match"""


def condition(embeddings: Tensor) -> Tensor:
    """Moves and scales embeddings (N, D) so that squared distances neither cancel nor overflow; same shape and dtype.

    The origin becomes the median, which keeps whole numbers whole and thus exact ties exact, and the scale a power of
    two, which is exact too. No ranking depends on either.
    """
    moved = embeddings - embeddings.median(dim=0).values
    _, exponent = torch.frexp(moved.abs().max())
    return torch.ldexp(moved, -exponent)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Squared L2 distances (A, B) between the rows of (A, D) and (B, D), never below 0, in their dtype."""
    with torch.autocast(left.device.type, enabled=False):  # a caller's bf16 would cost two of three digits
        product = torch.addmm(right.square().sum(1), left, right.T, alpha=-2)
    return product.add_(left.square().sum(1, keepdim=True)).clamp_(min=0)


@torch.no_grad()
def rank_queries(queries: Images, gallery: Images, chunk_bytes: int = CHUNK_BYTES) -> MatchRanks:
    """Ranks the gallery for every query by L2 distance. Memory: about `chunk_bytes`, whatever Q and N."""
    by_identity = torch.argsort(gallery.identities, stable=True)
    ordered = gallery.identities[by_identity]
    starts = torch.searchsorted(ordered, queries.identities)
    sizes = torch.searchsorted(ordered, queries.identities, right=True) - starts

    def chunks() -> Iterator[MatchRanks]:
        for rows in torch.arange(len(queries), device=starts.device).split(_chunk_rows(gallery, chunk_bytes)):
            chunk = queries.take(rows)
            distances = squared_distances(chunk.embeddings, gallery.embeddings)
            offsets = torch.arange(max(1, int(sizes[rows].max())), device=rows.device)
            columns = by_identity[(starts[rows, None] + offsets).clamp_(max=len(gallery) - 1)]
            valid = (offsets < sizes[rows, None]) & (gallery.groups[columns] != chunk.groups[:, None])
            matches, positions = _sorted_matches(distances.gather(1, columns), columns, valid, len(gallery))
            own = (gallery.identities == chunk.identities[:, None]) | (gallery.groups == chunk.groups[:, None])
            others = distances.masked_fill_(own, torch.inf)
            yield _summary(_ahead(matches, positions, others, 0, len(gallery)), valid.sum(1))

    return _concatenate(chunks())


@torch.no_grad()
def rank_identities(images: Images, chunk_bytes: int = CHUNK_BYTES) -> MatchRanks:
    """One list an identity: each of its images against all images of other groups, all lists merged and sorted.

    Queries are the identities in ascending order. Ties: by query, then by gallery position. Memory: about
    `chunk_bytes`, plus the square of the number of images of the largest identity.
    """
    length = len(images)

    def lists() -> Iterator[MatchRanks]:
        for identity in images.identities.unique():
            members = torch.nonzero(images.identities == identity).squeeze(1)
            own = images.take(members)
            distances = squared_distances(own.embeddings, own.embeddings).reshape(1, -1)
            valid = (own.groups[:, None] != own.groups).reshape(1, -1)
            rows = torch.arange(len(members), device=members.device)
            places = (rows[:, None] * length + members).reshape(1, -1)
            matches, positions = _sorted_matches(distances, places, valid, len(members) * length)
            counts = torch.zeros(1, matches.shape[1], dtype=torch.int64, device=members.device)
            for part in rows.split(_chunk_rows(images, chunk_bytes)):
                chunk = own.take(part)
                left_out = (images.identities == identity) | (images.groups == chunk.groups[:, None])
                others = squared_distances(chunk.embeddings, images.embeddings).masked_fill_(left_out, torch.inf)
                start = int(part[0]) * length
                counts += _ahead(matches, positions, others.reshape(1, -1), start, len(members) * length)
            yield _summary(counts, valid.sum(1))

    return _concatenate(lists())


def _chunk_rows(gallery: Images, chunk_bytes: int) -> int:
    """Queries whose distances, look-ups and masks fit together."""
    row = len(gallery) * (2 * gallery.embeddings.element_size() + 32)
    return max(1, chunk_bytes // row)


def _sorted_matches(distances: Tensor, positions: Tensor, valid: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """Distances and list positions (C, M) by ascending distance; what is not valid goes last, at position `end`.

    Not valid is a finite number, because infinity marks an image that is not in the list at all.
    """
    distances = distances.masked_fill(~valid, torch.finfo(distances.dtype).max)
    distances, order = distances.sort(dim=1, stable=True)
    return distances, positions.masked_fill(~valid, end).gather(1, order)


def _ahead(matches: Tensor, positions: Tensor, others: Tensor, start: int, end: int) -> Tensor:
    """How many of the other images come before each match: (C, M) int64.

    matches (C, M) ascending, at list positions `positions` (C, M) at most `end`; others (C, N), infinite where not in
    the list, at positions `start`, `start + 1`, ...
    """
    rows, width = matches.shape
    line = torch.arange(rows, device=matches.device)
    passed = torch.searchsorted(matches, others)  # the matches that are strictly closer than this image
    tied = matches.gather(1, passed.clamp(max=width - 1)) == others
    if bool(tied.any()):
        row, column = torch.nonzero(tied, as_tuple=True)
        run = torch.searchsorted(matches, matches) + line[:, None] * width
        keys = (run * (end + 1) + positions).flatten()
        wanted = (passed[row, column] + row * width) * (end + 1) + (start + column)
        passed[row, column] = torch.searchsorted(keys, wanted) - row * width
    slots = passed.add_(line[:, None] * (width + 1)).flatten()
    return torch.bincount(slots, minlength=rows * (width + 1)).reshape(rows, width + 1)[:, :-1].cumsum(1)


def _summary(ahead: Tensor, matches: Tensor) -> MatchRanks:
    """From the other images before each match (C, M) and the number of matches (C,)."""
    place = torch.arange(1, ahead.shape[1] + 1, device=ahead.device)
    ranks = ahead + place
    found = matches > 0
    precision = (place.double() / ranks).masked_fill_(place > matches[:, None], 0)
    highest = precision.flip(1).cummax(1).values.flip(1)
    recall = torch.arange(RECALL_POINTS, device=ahead.device)
    steps = RECALL_POINTS - 1
    needed = ((recall * matches[:, None] + steps - 1) // steps).clamp_(min=1) - 1
    return MatchRanks(
        matches=matches.cpu(),
        average_precision=(precision.sum(1) / matches.clamp(min=1)).cpu(),
        first=(ranks[:, 0] * found).cpu(),
        last=(ranks.gather(1, (matches - 1).clamp(min=0)[:, None]).squeeze(1) * found).cpu(),
        precision_sum=highest.gather(1, needed).sum(0).cpu(),
    )


def _concatenate(parts: Iterable[MatchRanks]) -> MatchRanks:
    collected = list(parts)
    return MatchRanks(
        matches=torch.cat([part.matches for part in collected]),
        average_precision=torch.cat([part.average_precision for part in collected]),
        first=torch.cat([part.first for part in collected]),
        last=torch.cat([part.last for part in collected]),
        precision_sum=torch.stack([part.precision_sum for part in collected]).sum(0),
    )
