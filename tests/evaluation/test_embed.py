"""Embedding in batches: each image in its place, and equal ones once."""

import numpy as np
import pytest
import torch

from owkd.evaluation.embed import embed_images
from owkd.models.presets import architecture
from owkd.training.prepare import build_network

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("marks", "batches"),
    [
        ([3, 1, 2], [[3, 1], [2]]),
        ([4, 4, 1, 4, 2, 1, 5], [[4, 1], [2, 5]]),
        ([6, 6, 6], [[6]]),
    ],
)
def test_equal_images_are_embedded_once_and_stand_in_all_their_places(marks, batches) -> None:
    images = np.zeros((len(marks), 2, 2, 3), np.uint8)
    images[:, 0, 0, 0] = marks
    asked = []

    def embed(batch: torch.Tensor) -> torch.Tensor:
        values = (255 * batch[:, 0, 0, 0]).round()
        asked.append(values.tolist())
        return values[:, None]

    assert embed_images(embed, images, CPU, 2).flatten().tolist() == marks
    assert asked == batches


def test_blank_images_are_one_point_in_whatever_batch_they_come() -> None:
    """Of 65 in batches of 64, the last one alone would come out otherwise."""
    model = build_network(architecture("nano"), 4, 32, "student", seed=0).eval()
    embeddings = embed_images(model.embed, np.full((65, 32, 32, 3), 77, np.uint8), CPU)
    assert len(embeddings) == 65
    assert len(embeddings.unique(dim=0)) == 1
