"""Ranking in chunks: the same whatever their size, and never more memory than allowed."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from owkd.evaluation.ranking import Images, condition, rank_identities, rank_queries
from tests.support.largest_tensor import LargestTensor

pytestmark = pytest.mark.numeric


def crowd(count: int, people: int, *, cameras: bool = False, dtype: torch.dtype = torch.float32) -> Images:
    """Whole-number embeddings, so that there are ties and products are exact in every chunk."""
    generator = torch.Generator().manual_seed(count)
    identities = torch.randint(0, people, (count,), generator=generator)
    noise = torch.randint(-4, 5, (count, 6), generator=generator)
    places = torch.randint(0, 3, (count,), generator=generator)
    return Images(
        (noise + torch.randint(-3, 4, (people, 6), generator=generator)[identities]).to(dtype),
        identities,
        (lambda queries, images: places[queries] == places[images]) if cameras else None,
    )


@pytest.mark.parametrize("cameras", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("chunk_bytes", [1, 5_000, 40_000])
def test_the_size_of_a_chunk_changes_nothing(chunk_bytes, dtype, cameras):
    images = crowd(150, 12, cameras=cameras, dtype=dtype)
    queries = torch.arange(150)
    for whole, parts in (
        (rank_queries(images, queries), rank_queries(images, queries, chunk_bytes=chunk_bytes)),
        (rank_identities(images), rank_identities(images, chunk_bytes)),
    ):
        for field in fields(whole):
            torch.testing.assert_close(getattr(parts, field.name), getattr(whole, field.name))


def test_memory_stays_within_the_chunk():
    images = crowd(2000, 20)
    budget = 2**20  # all distances together would take 16 MiB
    with LargestTensor() as memory:
        rank_queries(images, torch.arange(300), chunk_bytes=budget)
        rank_identities(images, budget)
    assert 2**17 < memory.largest <= budget


def test_queries_may_be_any_images_in_any_order():
    images = crowd(90, 9)
    everything = rank_queries(images, torch.arange(90))
    some = torch.tensor([77, 3, 3, 0])
    ranks = rank_queries(images, some)
    for name in ("matches", "average_precision", "rank_1", "first", "last", "inverse_penalty", "tied"):
        assert getattr(ranks, name).tolist() == getattr(everything, name)[some].tolist()


def test_ranks_are_the_mean_over_sorts_that_break_ties_by_lot():
    images = crowd(60, 6)
    ranks = rank_queries(images, torch.arange(60))
    exact = (images.embeddings[:, None] - images.embeddings).square().sum(2).numpy()
    assert len(np.unique(exact)) < exact.size / 10  # full of ties
    lots = np.random.default_rng(0).random((2000, 60))
    for query in range(6):
        others = np.delete(np.arange(60), query)
        order = others[np.lexsort((lots[:, others], np.broadcast_to(exact[query, others], (2000, 59))))]
        hits = images.identities.numpy()[order] == int(images.identities[query])
        assert int(ranks.matches[query]) == hits[0].sum()
        first, last = 1 + hits.argmax(1), 59 - hits[:, ::-1].argmax(1)
        for sampled, expected in ((first, ranks.first), (last, ranks.last)):
            error = sampled.std() / np.sqrt(2000)
            assert abs(sampled.mean() - float(expected[query])) <= 4 * error


def test_a_query_without_a_match_has_zeros():
    images = Images(torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([1, 1, 2]))
    ranks = rank_queries(images, torch.arange(3))
    assert ranks.matches.tolist() == [1, 1, 0]
    assert ranks.average_precision.tolist() == [1, 1, 0]
    assert ranks.first.tolist() == [1, 1, 0]
    assert ranks.last.tolist() == [1, 1, 0]
    assert ranks.precision_sum.tolist() == [2.0] * 101


def test_conditioning_keeps_whole_numbers_and_distances():
    embeddings = torch.randint(-50, 50, (41, 7), generator=torch.Generator().manual_seed(0)).double()
    conditioned = condition(embeddings)
    assert conditioned.abs().max() <= 2
    ratio = torch.pdist(embeddings).square() / torch.pdist(conditioned).square()
    scale = ratio[0].sqrt().round()
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(scale**2)))
    assert torch.equal(conditioned * scale, (conditioned * scale).round())


def test_conditioning_leaves_zeros_alone():
    assert torch.equal(condition(torch.zeros(3, 2)), torch.zeros(3, 2))
