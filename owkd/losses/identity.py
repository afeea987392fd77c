"""Supervised losses: which person is it (cross-entropy), and who is close to whom (triplet).

Shapes: B batch, K identities, D embedding size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from owkd.losses._precision import at_least_float32


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of identities, mean over the batch.

    With smoothing, against `1 - smoothing` at the label plus `smoothing / K` at every identity (Szegedy et al. 2016).

    logits (B, K) of any float type, labels (B,) int64 in 0..K-1 -> scalar of at least float32.
    """
    return F.cross_entropy(at_least_float32(logits), labels, label_smoothing=smoothing)


def triplet_loss(embedding: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Batch-hard triplet loss on L2 distances (Hermans, Beyer and Leibe 2017, "In Defense of the Triplet Loss").

    For each anchor, `max(0, margin + distance to its farthest positive - distance to its nearest negative)`, where a
    positive is another image of the anchor's identity and a negative any image of another one; mean over the anchors
    that have both. Where no anchor has both (one identity, a batch of one) the loss is 0 with a zero gradient. Two
    equal embeddings have distance 0 and give no gradient.

    embedding (B, D) of any float type, labels (B,) -> scalar of at least float32.

    The published code departs from this: it forms a single triplet a batch, and its "negative" may show the anchor's
    own identity, which pushes images of one person apart.
    """
    embedding = at_least_float32(embedding)
    with torch.no_grad():
        # Differences, not |a|^2 + |b|^2 - 2ab: near duplicates are what picks the hardest, and they would cancel.
        distances = torch.cdist(embedding, embedding, compute_mode="donot_use_mm_for_euclid_dist")
        same = labels[:, None] == labels[None, :]
        positives = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        farthest = distances.masked_fill(~positives, -torch.inf).argmax(dim=1)
        nearest = distances.masked_fill(same, torch.inf).argmin(dim=1)
        valid = positives.any(dim=1) & ~same.all(dim=1)
    to_positive = torch.linalg.vector_norm(embedding - embedding[farthest], dim=1)
    to_negative = torch.linalg.vector_norm(embedding - embedding[nearest], dim=1)
    hinge = F.relu(margin + to_positive - to_negative)
    return (hinge * valid).sum() / valid.sum().clamp_min(1)
