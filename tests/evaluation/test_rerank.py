"""Re-ranking and query expansion: against dense tables and plain loops, chunk by chunk, and what they may not do."""

import numpy as np
import pytest
import torch

from owkd.config.protocols import QueryExpansion, Reranking
from owkd.evaluation import evaluate_embeddings
from owkd.evaluation.ranking import condition
from owkd.evaluation.ranking.expansion import ExpandedQueries
from owkd.evaluation.ranking.nearest import drawn_lots, nearest
from owkd.evaluation.ranking.rerank import Reranked

pytestmark = pytest.mark.numeric


def dense(embeddings: np.ndarray, k1: int, k2: int, weight: float) -> np.ndarray:
    """Zhong et al. 2017 as it is written: whole tables, one image after the other."""
    n = len(embeddings)
    distances = ((embeddings[:, None] - embeddings[None]) ** 2).sum(2)
    scaled = np.array([row / row.max() if row.max() > 0 else row for row in distances])
    lots = drawn_lots(n, torch.device("cpu")).tolist()
    order = [sorted(range(n), key=lambda j: (j != i, scaled[i, j], lots[j])) for i in range(n)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    encoded = np.zeros((n, n))
    for i in range(n):
        near = reciprocal(i, k1)
        expanded = set(near)
        for candidate in near:
            theirs = reciprocal(candidate, round(k1 / 2))
            if len(theirs & near) > 2 / 3 * len(theirs):
                expanded |= theirs
        for j in expanded:
            encoded[i, j] = np.exp(-scaled[i, j])
        encoded[i] /= encoded[i].sum()
    if k2 > 1:
        encoded = np.array([encoded[order[i][:k2]].mean(axis=0) for i in range(n)])
    shared = np.array([[np.minimum(encoded[i], encoded[j]).sum() for j in range(n)] for i in range(n)])
    return (1 - weight) * (1 - shared / (2 - shared)) + weight * scaled


def crowd(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    people = torch.arange(70) % 9
    embeddings = torch.randn(9, 12, generator=generator).double()[people]
    embeddings += 0.7 * torch.randn(70, 12, generator=generator).double()
    if kind == "repeated":
        return embeddings[torch.randint(0, 20, (70,), generator=generator)]
    return torch.ones(70, 12).double() if kind == "one point" else embeddings


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 1.0), (100, 4, 0.5)])
@pytest.mark.parametrize("kind", ["distinct", "repeated", "one point"])
def test_reranking_equals_dense_tables(kind, k1, k2, weight, monkeypatch):
    monkeypatch.setattr("owkd.evaluation.ranking.rerank.ROWS", 16)
    monkeypatch.setattr("owkd.evaluation.ranking.rerank.TERMS", 100)
    embeddings = crowd(kind)
    reranked = Reranked(embeddings, k1, k2, weight)
    rows = torch.cat([reranked.from_images(queries) for queries in torch.arange(70).split(11)])
    np.testing.assert_allclose(rows.numpy(), dense(embeddings.numpy(), k1, k2, weight), rtol=1e-9, atol=1e-12)


def test_the_nearest_are_in_order_and_lots_decide_between_equals():
    lots = torch.tensor([3, 0, 2, 1, 4])
    distances = torch.tensor([[5.0, 1.0, 1.0, 1.0, 0.0], [2.0, 2.0, 2.0, 2.0, 2.0]])
    assert nearest(distances, 3, lots).tolist() == [[4, 1, 3], [1, 3, 2]]
    assert nearest(distances, 9, lots).tolist() == [[4, 1, 3, 2, 0], [1, 3, 2, 0, 4]]


def test_expanded_queries_equal_plain_loops():
    embeddings = crowd("distinct")
    unseen = torch.rand(70, 70, generator=torch.Generator().manual_seed(2)) < 0.8
    unseen[3] = True  # sees nobody
    unseen.fill_diagonal_(True)
    rows = ExpandedQueries(embeddings, 8, lambda queries: unseen[queries]).from_images(torch.arange(70))
    values = embeddings.numpy()
    for query in range(70):
        seen = [i for i in range(70) if not unseen[query, i]]
        near = sorted(seen, key=lambda i: ((values[i] - values[query]) ** 2).sum())[:8]
        mean = values[[query, *near]].mean(axis=0)
        np.testing.assert_allclose(rows[query].numpy(), ((values - mean) ** 2).sum(1), atol=1e-9)


@pytest.mark.parametrize("refinement", [Reranking(6, 3), QueryExpansion(4)])
@pytest.mark.parametrize("protocol", ["standard", "center", "market", "sysu-all-single", "regdb-thermal"])
def test_protocols_rank_by_the_changed_distances(protocol, refinement):
    """Whoever is seen has the changed distance; ranks by a sort of whole rows."""
    embeddings, people = crowd("distinct"), np.arange(70) % 9
    cameras = np.random.default_rng(0).integers(1, 3 if protocol.startswith("regdb") else 7, 70)
    plain = evaluate_embeddings(embeddings, people, protocol, cameras)
    changed = evaluate_embeddings(embeddings, people, protocol, cameras, refinement=refinement)
    assert changed.queries == plain.queries
    assert changed.mean_average_precision != plain.mean_average_precision
    if protocol == "standard" and isinstance(refinement, Reranking):
        table = dense(condition(embeddings).numpy(), 6, 3, 0.3)
        for query, first in enumerate(changed.first_match):
            order = [i for i in np.argsort(table[query], kind="stable") if i != query]
            assert first == 1 + [people[i] == people[query] for i in order].index(True)


@pytest.mark.parametrize("refinement", [Reranking(6, 3), QueryExpansion(4)])
def test_one_point_scores_chance_and_random_labels_too(refinement):
    """Lots, not places, decide between neighbours: labels that are sorted by place gain nothing."""
    people = np.repeat(np.arange(20), 4)
    rng = np.random.default_rng(5)
    plain = np.mean([evaluate_embeddings(np.ones((80, 4)), people, refinement=refinement).cmc[0]])
    chance = [
        evaluate_embeddings(np.ones((80, 4)), rng.permutation(people), refinement=refinement).cmc[0] for _ in range(30)
    ]
    assert abs(plain - 3 / 79) < 4 * np.std(chance, ddof=1) + 1e-9
    assert abs(np.mean(chance) - 3 / 79) < 3 * np.std(chance, ddof=1) / np.sqrt(30) + 1e-9
