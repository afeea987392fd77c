"""Where the matches of a query stand in its ranked list, without ever holding or sorting all distances.

Average precision, CMC and mINP depend on nothing but the ranks of the matches, and the rank of a match is its place
among the matches plus the number of other images that are closer. So each distance is looked up among the few sorted
distances of its query's matches, and the look-ups are counted: less work than a sort, exact ties included.

Shapes
    Q  queries, N  gallery images, D  embedding size, C  queries in one chunk
    M  most matches of any query in the chunk, R  points of the precision-recall curve

Ties: of two equally close images the one with the lower gallery position comes first.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

RECALL_POINTS = 101
CHUNK_BYTES = 2**26


@dataclass(frozen=True)
class Images:
    """Embedded images, all tensors on one device. A query never meets itself, nor images of its own camera.

    Attributes:
        embeddings: (N, D) float32 or float64
        identities: (N,) int64
        cameras: (N,) int64; None where the camera of the query does not matter
    """

    embeddings: Tensor
    identities: Tensor
    cameras: Tensor | None = None


@dataclass(frozen=True)
class MatchRanks:
    """What the ranked list of each query contains of its matches; 0 where a query has none. On the CPU.

    Attributes:
        matches: (Q,) int64: number of matches in the list
        average_precision: (Q,) float64: sum over ranks of precision * recall step
        first: (Q,) int64: rank of the closest match, from 1
        last: (Q,) int64: rank of the farthest match, from 1
        precision_sum: (R,) float64: precision at recall 0, 0.01, ..., 1, summed over the queries that have a match
    """

    matches: Tensor
    average_precision: Tensor
    first: Tensor
    last: Tensor
    precision_sum: Tensor


def condition(embeddings: Tensor) -> Tensor:
    """Scales and moves embeddings (N, D) so that squared distances neither overflow nor cancel; same shape and dtype.

    The scale is a power of two, which is exact, and the origin becomes the median, which keeps whole numbers whole and
    thus exact ties exact. No ranking depends on either.
    """
    _, exponent = torch.frexp(embeddings.abs().max())
    _, limit = math.frexp(torch.finfo(embeddings.dtype).max)
    scaled = torch.ldexp(embeddings, -exponent.clamp(8 - limit, limit - 8))
    return scaled - scaled.median(dim=0).values


@torch.no_grad()
def rank_queries(images: Images, queries: Tensor, chunk_bytes: int = CHUNK_BYTES) -> MatchRanks:
    """Ranks all images by L2 distance for each query, an index into them: `queries` (Q,) int64.

    Memory beside a copy of the embeddings: about `chunk_bytes`, whatever Q and N.
    """
    entries = _entries(images.embeddings)
    length = len(entries)
    by_identity = torch.argsort(images.identities, stable=True)
    ordered = images.identities[by_identity]
    starts = torch.searchsorted(ordered, images.identities)
    sizes = torch.searchsorted(ordered, images.identities, right=True) - starts

    def chunks() -> Iterator[MatchRanks]:
        for rows in queries.split(_chunk_rows(images, chunk_bytes)):
            distances = _distances(entries[rows], entries)
            offsets = torch.arange(int(sizes[rows].max()), device=rows.device)
            columns = by_identity[starts[rows, None] + offsets.minimum(sizes[rows, None] - 1)]
            valid = (offsets < sizes[rows, None]) & (columns != rows[:, None]) & _visible(images, rows, columns)
            matches, positions = _sorted_matches(distances.gather(1, columns), columns, valid, length)
            others = distances.scatter_(1, columns, torch.finfo(distances.dtype).max)
            _hide_own_camera(others, images, rows)
            yield _summary(_ahead(matches, positions, others, 0, length), valid.sum(1))

    return _collected(chunks(), len(queries))


@torch.no_grad()
def rank_identities(images: Images, chunk_bytes: int = CHUNK_BYTES) -> MatchRanks:
    """One list an identity: each of its images against the others, all of these lists merged and sorted.

    Queries are the identities in ascending order. Ties: by query, then by gallery position. Memory beside a copy of
    the embeddings: about `chunk_bytes`, plus the square of the number of images of the largest identity.
    """
    entries = _entries(images.embeddings)
    length = len(entries)

    def lists() -> Iterator[MatchRanks]:
        for identity in people:
            members = torch.nonzero(images.identities == identity).squeeze(1)
            lines = torch.arange(len(members), device=members.device)[:, None] * length
            pairs = _distances(entries[members], entries[members])
            valid = (members != members[:, None]) & _visible(images, members, members.expand(len(members), -1))
            end = len(members) * length
            matches, positions = _sorted_matches(_line(pairs), _line(lines + members), _line(valid), end)
            ahead = torch.zeros_like(positions)
            for rows, line in zip(members.split(step), lines.split(step), strict=True):
                others = _distances(entries[rows], entries)
                others[:, members] = torch.finfo(others.dtype).max
                _hide_own_camera(others, images, rows)
                ahead += _ahead(matches, positions, _line(others), int(line[0]), end)
            yield _summary(ahead, _line(valid).sum(1))

    people = images.identities.unique()
    step = _chunk_rows(images, chunk_bytes)
    return _collected(lists(), len(people))


def _line(table: Tensor) -> Tensor:
    return table.reshape(1, -1)


def _entries(embeddings: Tensor) -> Tensor:
    """Rows (x, |x|^2, 1): (N, D + 2)."""
    norms = embeddings.square().sum(1, keepdim=True)
    return torch.cat([embeddings, norms, torch.ones_like(norms)], dim=1)


def _distances(queries: Tensor, entries: Tensor) -> Tensor:
    """Squared L2 distances (C, N) in one product: rows (x, |x|^2, 1), (C, D + 2), as (-2x, 1, |x|^2) times (N, D + 2).

    They are as far from exact as rounding makes them, perhaps below 0, which is fine for ranking.
    """
    probes = torch.cat([-2 * queries[:, :-2], queries[:, -1:], queries[:, -2:-1]], dim=1)
    with torch.autocast(queries.device.type, enabled=False):  # a caller's bf16 would leave two digits
        return probes @ entries.T


def _visible(images: Images, queries: Tensor, columns: Tensor) -> Tensor:
    """Whether the images `columns` (C, M) may be in the lists of `queries` (C,), by their cameras."""
    if images.cameras is None:
        return torch.ones_like(columns, dtype=torch.bool)
    return images.cameras[columns] != images.cameras[queries][:, None]


def _hide_own_camera(others: Tensor, images: Images, queries: Tensor) -> None:
    if images.cameras is not None:
        own = images.cameras[queries][:, None] == images.cameras
        others.masked_fill_(own, torch.finfo(others.dtype).max)


def _chunk_rows(images: Images, chunk_bytes: int) -> int:
    """Queries whose distances, look-ups and masks fit together."""
    row = len(images.identities) * (2 * images.embeddings.element_size() + 8)
    return max(1, chunk_bytes // row)


def _sorted_matches(distances: Tensor, positions: Tensor, valid: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """Distances and list positions (C, M) by ascending distance; what is not valid goes last: infinite, at `end`."""
    distances, order = distances.masked_fill(~valid, torch.inf).sort(dim=1, stable=True)
    return distances, positions.masked_fill(~valid, end).gather(1, order)


def _ahead(matches: Tensor, positions: Tensor, others: Tensor, start: int, end: int) -> Tensor:
    """How many of the other images come before each match: (C, M) int64; means nothing where a match is infinite.

    matches (C, M): ascending, infinite at least in the last column, at list positions `positions` (C, M), at most
    `end`. others (C, N): finite, the largest number of their dtype where not in the list, at positions `start`,
    `start + 1`, ...
    """
    rows, width = matches.shape
    line = torch.arange(rows, device=matches.device)[:, None] * width
    # The slot of an image is the first match that is not closer; the infinite column sees to it that there is one.
    slots = torch.searchsorted(matches, others, out_int32=matches.numel() < 2**31).add_(line).flatten()
    tied = torch.nonzero(matches.flatten().index_select(0, slots) == others.flatten()).squeeze(1)
    if len(tied):
        keys = (torch.searchsorted(matches, matches) + line) * (end + 1) + positions
        wanted = slots[tied].long() * (end + 1) + (start + tied % others.shape[1])
        slots[tied] = torch.searchsorted(keys.flatten(), wanted).to(slots.dtype)
    return torch.bincount(slots, minlength=rows * width).reshape(rows, width).cumsum(1)


def _summary(ahead: Tensor, matches: Tensor) -> MatchRanks:
    """From the other images before each match (C, M) and the number of matches (C,)."""
    place = torch.arange(1, ahead.shape[1] + 1, device=ahead.device)
    ranks = ahead + place
    has_match = matches > 0
    precision = (place.double() / ranks).masked_fill_(place > matches[:, None], 0)
    highest = precision.flip(1).cummax(1).values.flip(1)
    recall = torch.arange(RECALL_POINTS, device=ahead.device)
    steps = RECALL_POINTS - 1
    needed = ((recall * matches[:, None] + steps - 1) // steps).clamp_(min=1) - 1
    return MatchRanks(
        matches=matches.cpu(),
        average_precision=(precision.sum(1) / matches.clamp(min=1)).cpu(),
        first=(ranks[:, 0] * has_match).cpu(),
        last=(ranks.gather(1, (matches - 1).clamp(min=0)[:, None]).squeeze(1) * has_match).cpu(),
        precision_sum=highest.gather(1, needed).sum(0).cpu(),
    )


def _collected(parts: Iterable[MatchRanks], lists: int) -> MatchRanks:
    """All parts as one, for as many lists as there are.

    The tensors are made beforehand: small ones that stay, made in between the large ones of the chunks, would break the
    freed memory up, and the process would grow with every chunk.
    """
    whole, precision_sum, done = _empty(lists), torch.zeros(RECALL_POINTS, dtype=torch.float64), 0
    for part in parts:
        rows = slice(done, done + len(part.matches))
        for name, values in whole.items():
            values[rows] = getattr(part, name)
        precision_sum += part.precision_sum
        done = rows.stop
    return MatchRanks(**whole, precision_sum=precision_sum)


def _empty(lists: int) -> dict[str, Tensor]:
    whole = torch.empty(3, lists, dtype=torch.int64)
    precision = torch.empty(lists, dtype=torch.float64)
    return {"matches": whole[0], "average_precision": precision, "first": whole[1], "last": whole[2]}
