"""Ranks of people instead of images: each person stands where the closest of their images does.

Of equally far images every order is equally likely. The order in which people first appear in such a block is that of
drawing images from it at random: somebody with k images comes before the one who is looked for, with m, with
probability k / (k + m). How many of several rivals come before is, with z counting them,

    integral from 0 to 1 of  m x^(m - 1)  product over rivals of (x^k + (1 - x^k) z)  dx

where x^k is the probability that somebody's k images all come after a moment, and m x^(m - 1) the density of the moment
at which the first of m comes. The integrand is a polynomial, which Gauss and Legendre's rule adds up exactly up to a
degree of 1023, and to many digits beyond.

Shapes
    C  queries, N  images, K  ranks of the CMC, I  identities
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from owkd.evaluation.ranking.ties import CMC_RANKS

NODES = 512


def first_person_by(closest: Tensor, own: Tensor, others: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Probability that the right person is at rank 1, at rank 2 or better, ... (C, K), and their mean rank (C,).

    closest (C,): distance of the closest match; own (C,): how many matches are at it; others (C, N): distances of all
    other people's images, of identities `labels` (N,), numbered from 0.
    """
    shape = (len(closest), int(labels.max()) + 1)
    closer, tied = (
        torch.zeros(shape, dtype=torch.int32, device=others.device).index_add_(1, labels, where.int())
        for where in (others < closest[:, None], others == closest[:, None])
    )
    before = (closer > 0).sum(1)
    rivals = tied.masked_fill_(closer > 0, 0)
    rank = 1 + before + (rivals / (rivals + own[:, None]).double()).sum(1)
    hits = (before[:, None] < torch.arange(1, CMC_RANKS + 1, device=others.device)).double()
    for row in torch.nonzero(rivals.any(1)).squeeze(1).tolist():
        counts = tuple(sorted(rivals[row][rivals[row] > 0].tolist()))
        for place in range(int(before[row]), CMC_RANKS):
            hits[row, place] = _by_rank(int(own[row]), counts)[place - int(before[row])]
    return hits, rank


@lru_cache(maxsize=4096)
def _by_rank(own: int, rivals: tuple[int, ...]) -> NDArray[np.float64]:
    """Probability that fewer than 1, 2, ..., K rivals come before: (K,)."""
    nodes, weights = _rule(min(NODES, 32 * ((own + sum(rivals)) // 64 + 1)))
    overtaken = np.zeros((CMC_RANKS, len(nodes)))
    overtaken[0] = own * nodes ** (own - 1)
    for images in rivals:
        after = nodes**images
        moved = overtaken[:-1] * (1 - after)
        overtaken *= after
        overtaken[1:] += moved
    shares: NDArray[np.float64] = np.minimum((overtaken @ weights).cumsum(), 1)
    return shares


@lru_cache(maxsize=32)
def _rule(nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights on the interval from 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return (points + 1) / 2, weights / 2
