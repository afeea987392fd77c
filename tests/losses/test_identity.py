"""Cross-entropy and batch-hard triplets."""

import math

import pytest
import torch
from torch import Tensor

from owkd.losses import cross_entropy, triplet_loss

pytestmark = pytest.mark.numeric


def slow_triplet(embedding: Tensor, labels: list[int], margin: float) -> float:
    """The definition, one anchor at a time."""
    losses = []
    points = embedding.tolist()
    for anchor, label in enumerate(labels):
        distance = [math.dist(points[anchor], point) for point in points]
        positives = [distance[i] for i, other in enumerate(labels) if other == label and i != anchor]
        negatives = [distance[i] for i, other in enumerate(labels) if other != label]
        if positives and negatives:
            losses.append(max(0.0, margin + max(positives) - min(negatives)))
    return sum(losses) / len(losses) if losses else 0.0


def points(count: int, size: int = 3) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    value = cross_entropy(logits, torch.tensor([1, 0]))
    assert value.shape == ()
    assert value.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_cross_entropy_of_half_logits_is_float32() -> None:
    logits = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)
    value = cross_entropy(logits, torch.tensor([0]))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(math.log(1 + math.e), rel=1e-6)


def test_cross_entropy_gradcheck() -> None:
    labels = torch.tensor([2, 0, 1, 2])
    assert torch.autograd.gradcheck(lambda logits: cross_entropy(logits, labels), [points(4).requires_grad_()])


def test_triplet_by_hand() -> None:
    # On a line at 0, 1, 3 (person 0) and 5, 5.5 (person 1): farthest positive, nearest negative
    embedding = torch.tensor([[0.0], [1.0], [3.0], [5.0], [5.5]])
    labels = torch.tensor([0, 0, 0, 1, 1])
    anchors = [max(0, 1 + 3 - 5), max(0, 1 + 2 - 4), max(0, 1 + 3 - 2), max(0, 1 + 0.5 - 2), max(0, 1 + 0.5 - 2.5)]
    assert anchors == [0, 0, 2, 0, 0]
    value = triplet_loss(embedding, labels, margin=1.0)
    assert value.shape == ()
    assert value.item() == pytest.approx(2 / 5)
    assert triplet_loss(embedding, labels, margin=2.0).item() == pytest.approx((0 + 0 + 3 + 0.5 + 0) / 5)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5], [3, 3, 3, 3, 3, 1], [7, 1, 7, 1, 2, 7]])
@pytest.mark.parametrize("margin", [0.0, 0.3, 1.0, 5.0])
def test_triplet_equals_the_definition_in_loops(labels: list[int], margin: float) -> None:
    embedding = points(6)
    value = triplet_loss(embedding, torch.tensor(labels), margin)
    assert value.item() == pytest.approx(slow_triplet(embedding, labels, margin), rel=1e-12)


def test_triplet_gradcheck() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    embedding = points(6).requires_grad_()
    assert triplet_loss(embedding, labels, 1.0).item() > 0
    assert torch.autograd.gradcheck(lambda e: triplet_loss(e, labels, 1.0), [embedding])


def test_triplet_is_the_same_for_a_permuted_batch_and_moved_embedding() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    embedding, order = points(6), torch.tensor([3, 5, 0, 2, 4, 1])
    value = triplet_loss(embedding, labels, 1.0)
    torch.testing.assert_close(triplet_loss(embedding[order], labels[order], 1.0), value)
    torch.testing.assert_close(triplet_loss(embedding + 5, labels, 1.0), value)
    torch.testing.assert_close(triplet_loss(2 * embedding, labels, 2.0), 2 * value)


def test_a_negative_is_never_of_the_anchors_own_identity() -> None:
    # The nearest image of all is the anchor's own person at 0.1; other people are far away.
    embedding = torch.tensor([[0.0], [0.1], [50.0], [50.1]])
    assert triplet_loss(embedding, torch.tensor([0, 0, 1, 1]), 1.0).item() == 0


@pytest.mark.parametrize("labels", [[4, 4, 4], [0, 1, 2], [0]], ids=["one identity", "no pair", "batch of one"])
def test_nothing_valid_is_0_with_a_zero_gradient(labels: list[int]) -> None:
    embedding = points(len(labels)).requires_grad_()
    value = triplet_loss(embedding, torch.tensor(labels), 1.0)
    (gradient,) = torch.autograd.grad(value, embedding)
    assert value.item() == 0
    assert not gradient.any()


def test_equal_embeddings_give_the_margin_and_a_finite_gradient() -> None:
    embedding = torch.ones(4, 3, requires_grad=True)
    value = triplet_loss(embedding, torch.tensor([0, 0, 1, 1]), 0.7)
    (gradient,) = torch.autograd.grad(value, embedding)
    assert value.item() == pytest.approx(0.7)
    assert not gradient.any()


def test_triplet_tells_near_duplicates_apart_in_float32() -> None:
    """Far from the origin |a|^2 + |b|^2 - 2ab would lose distances of 0.01 altogether."""
    offsets = [0.0, 0.01, 0.03, 0.05]
    embedding = torch.tensor([[100 + offset, 100.0] for offset in offsets])
    labels = [0, 0, 1, 1]
    expected = slow_triplet(torch.tensor([[offset, 0.0] for offset in offsets]).double(), labels, 0.02)
    assert expected == pytest.approx((0.0 + 0.01 + 0.02 + 0.0) / 4)
    assert triplet_loss(embedding, torch.tensor(labels), 0.02).item() == pytest.approx(expected, abs=1e-5)


def test_triplet_is_float32_under_autocast() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    embedding = points(4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = triplet_loss(embedding, labels, 1.0)
    assert value.dtype == torch.float32
    assert torch.equal(value, triplet_loss(embedding, labels, 1.0))
    assert triplet_loss(embedding.bfloat16(), labels, 1.0).dtype == torch.float32
