"""What a ranked list is worth, on average over all orders of what is equally far.

A list is a row of blocks: the images at one distance. Of a block with t images, m of them matches, behind r images of
which M are matches, every order is equally likely. So at place i of the block, 1 <= i <= t,

    P(match at i) = m / t,    E[matches up to i | match at i] = M + 1 + (i - 1) (m - 1) / (t - 1)

and with h = 1 / (r + 1) + ... + 1 / (r + t) the block's precisions at its matches add up, on average, to

    m / t  *  ((M + 1) h + (m - 1) / (t - 1) (t - (r + 1) h))

(McSherry and Najork, Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores,
ECIR 2008). The k-th match of a block stands at r + k (t + 1) / (m + 1) on average; none is among the first i of a
block with probability (t - m)! (t - i)! / ((t - m - i)! t!); the last one stands at place l with probability
C(l - 1, m - 1) / C(t, m). A block of one image gives back the figures without ties.

Shapes
    C  lists, M  most matches of any of them, R  points of the precision-recall curve, K  ranks of the CMC
"""

from dataclasses import dataclass

import torch
from torch import Tensor

RECALL_POINTS = 101
CMC_RANKS = 20
TERMS = 2**20
"""summed at a time"""


@dataclass(frozen=True)
class MatchRanks:
    """What the ranked list of each query holds of its matches, mean over ties; 0 where a query has none. On the CPU.

    Attributes:
        matches: (Q,) int64: number of matches in the list
        average_precision: (Q,) float64: sum over ranks of precision * recall step
        rank_1: (Q,) float64: share of the orders in which the first image is a match
        first: (Q,) float64: rank of the closest match, from 1
        last: (Q,) float64: rank of the farthest match, from 1
        inverse_penalty: (Q,) float64: matches / rank of the last match
        tied: (Q,) int64: matches that are exactly as far as an image of somebody else
        cmc_sum: (K,) float64: lists whose first match is at rank 1, at rank 2 or better, ...
        precision_sum: (R,) float64: best precision at recall 0, 0.01, ..., 1 or more, each match at its mean rank,
            summed over the queries that have a match
    """

    matches: Tensor
    average_precision: Tensor
    rank_1: Tensor
    first: Tensor
    last: Tensor
    inverse_penalty: Tensor
    tied: Tensor
    cmc_sum: Tensor
    precision_sum: Tensor


@dataclass(frozen=True)
class Blocks:
    """The block that each match of a list is in, all (C, M) int64; what is beyond the matches of a list means nothing.

    Attributes:
        before: images before the block
        matches_before: matches among them
        matches: in the block
        others: images in the block that are no matches
    """

    before: Tensor
    matches_before: Tensor
    matches: Tensor
    others: Tensor

    def at(self, places: Tensor) -> "Blocks":
        """The blocks of the matches at `places` (C,), each field (C,)."""
        fields = (self.before, self.matches_before, self.matches, self.others)
        return Blocks(*(field.gather(1, places[:, None]).squeeze(1) for field in fields))


def summary(blocks: Blocks, matches: Tensor, people: tuple[Tensor, Tensor] | None = None) -> MatchRanks:
    """From the blocks of the matches (C, M), the closest first, and the number of matches (C,).

    `people`: what stands in for the first match's probabilities by rank (C, K) and its mean rank (C,).
    """
    place = torch.arange(1, blocks.before.shape[1] + 1, device=matches.device)
    beyond = place > matches[:, None]
    has_match = matches > 0
    size = blocks.matches + blocks.others
    ranks = blocks.before + (place - blocks.matches_before) * (size + 1).double() / (blocks.matches + 1)
    precision = (place / ranks).masked_fill_(beyond, 0)
    highest = precision.flip(1).cummax(1).values.flip(1)
    steps = RECALL_POINTS - 1
    recall = torch.arange(RECALL_POINTS, device=matches.device)
    needed = ((recall * matches[:, None] + steps - 1) // steps).clamp_(min=1) - 1
    first, last = blocks.at(torch.zeros_like(matches)), blocks.at((matches - 1).clamp(min=0))
    hits, first_rank = (first_match_by(first), ranks[:, 0]) if people is None else people
    hits = hits * has_match[:, None]
    return MatchRanks(
        matches=matches.cpu(),
        average_precision=(_precisions(blocks, precision).masked_fill_(beyond, 0).sum(1) / matches.clamp(min=1)).cpu(),
        rank_1=hits[:, 0].cpu(),
        first=(first_rank * has_match).cpu(),
        last=(ranks.gather(1, (matches - 1).clamp(min=0)[:, None]).squeeze(1) * has_match).cpu(),
        inverse_penalty=(matches * inverse_last(last)).cpu(),
        tied=((blocks.others > 0) & ~beyond).sum(1).cpu(),
        cmc_sum=hits.sum(0).cpu(),
        precision_sum=highest.gather(1, needed).sum(0).cpu(),
    )


def _precisions(blocks: Blocks, untied: Tensor) -> Tensor:
    """Each match's mean share of what its block's precisions add up to (C, M); `untied` where it is alone in it."""
    r, t = blocks.before.double(), (blocks.matches + blocks.others).double()
    shared = t > 1
    if not bool(shared.any()):
        return untied
    h = torch.digamma(r + t + 1) - torch.digamma(r + 1)
    growth = (blocks.matches - 1) / (t - 1).clamp(min=1)
    mean = ((blocks.matches_before + 1) * h + growth * (t - (r + 1) * h)) / t
    return torch.where(shared, mean, untied)


def first_match_by(block: Blocks, ranks: int = CMC_RANKS) -> Tensor:
    """Probability that a block, the first one with matches, has put one at rank 1, at rank 2 or better, ...: (C, K)."""
    drawn = torch.arange(ranks, device=block.before.device) - block.before[:, None]  # images of the block before a rank
    others = (block.others[:, None] - drawn).clamp(min=0).double()
    images = (block.matches + block.others)[:, None] - drawn
    none = torch.where(drawn >= 0, others / images.clamp(min=1), 1.0)
    return 1 - none.cumprod(1)


def inverse_last(block: Blocks) -> Tensor:
    """Mean of 1 / rank of the last match of each block (C,): float64."""
    result = 1 / (block.before + block.matches).double()
    tied = torch.nonzero(block.others > 0).squeeze(1)
    if len(tied) == 0:
        return result
    table = torch.stack([block.others, block.before, block.matches], dim=1)[tied]
    kinds, inverse = torch.unique(table, dim=0, return_inverse=True)  # ascending by others: little padding
    means, start = [], 0
    while start < len(kinds):
        rows = _rows_from(kinds[:, 0], start)
        means.append(_inverse_last(*kinds[start : start + rows].double().T[..., None]))
        start += rows
    result[tied] = torch.cat(means)[inverse]
    return result


def _rows_from(others: Tensor, start: int) -> int:
    """How many rows from `start` have no more than `TERMS` together, padded to the longest; `others` ascend."""
    longest = others[start:] + 1
    fitting = longest * torch.arange(1, len(longest) + 1, device=others.device) <= TERMS
    return max(1, int(fitting.sum()))


def _inverse_last(others: Tensor, before: Tensor, matches: Tensor) -> Tensor:
    """The mean over the places of the last match, each (C, 1) float64 -> (C,)."""
    more = torch.arange(int(others.max()) + 1, device=others.device)  # others before the last match
    ways = torch.lgamma(matches + more) - torch.lgamma(more + 1.0)  # log C(l - 1, m - 1), up to a constant
    weights = ways.masked_fill(more > others, -torch.inf).softmax(1)
    return (weights / (before + matches + more)).sum(1)
