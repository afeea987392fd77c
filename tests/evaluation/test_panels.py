"""Retrieval panels: which images stand where, and that the frames tell right from wrong."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from owkd.errors import DataError
from owkd.evaluation.panels import RIGHT, WRONG, retrieval_figure, retrieve
from owkd.evaluation.protocol import evaluate_embeddings

pytestmark = pytest.mark.numeric

IDENTITIES = np.array([1, 1, 2, 2, 3])
EMBEDDINGS = torch.tensor([[0.0], [1.0], [1.5], [10.0], [3.0]])
"""On a line. Person 3 has one image and thus nothing to find."""


def test_lists_by_hand():
    result = evaluate_embeddings(EMBEDDINGS, IDENTITIES)
    found = retrieve(EMBEDDINGS, IDENTITIES, result, rows=4, top=3)
    # AP by hand: image 0 finds 1 first: 1; 1 finds 2 first, then 0: 1/2; 2 finds 1, 0 and 4 (a tie) before 3: 1/4;
    # 3 finds 4 before 2: 1/2
    assert found.queries.tolist() == [2, 1, 3, 0]
    assert found.average_precision.tolist() == [0.25, 0.5, 0.5, 1.0]
    assert found.retrieved.tolist() == [[1, 0, 4], [2, 0, 4], [4, 2, 1], [1, 2, 4]]
    assert found.right.tolist() == [[False] * 3, [False, True, False], [False, True, False], [True, False, False]]


def test_fewer_rows_keep_the_worst_and_the_best_and_no_list_is_longer_than_its_gallery():
    result = evaluate_embeddings(EMBEDDINGS, IDENTITIES)
    found = retrieve(EMBEDDINGS, IDENTITIES, result, rows=2, top=50)
    assert found.queries.tolist() == [2, 0]
    assert found.retrieved.shape == (2, 4)
    assert all(query not in row for query, row in zip(found.queries, found.retrieved, strict=True))


def test_only_the_standard_protocol_has_such_lists():
    with pytest.raises(DataError, match="standard"):
        retrieve(EMBEDDINGS, IDENTITIES, evaluate_embeddings(EMBEDDINGS, IDENTITIES, protocol="center"))


def test_frames_and_signs_tell_right_from_wrong():
    result = evaluate_embeddings(EMBEDDINGS, IDENTITIES)
    found = retrieve(EMBEDDINGS, IDENTITIES, result, rows=4, top=3)
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    figure = retrieval_figure(images, found)
    rows = np.array(figure.axes).reshape(4, 4)
    for row in range(4):
        assert rows[row, 0].images[0].get_array()[0, 0, 0] == found.queries[row]
        for column in range(3):
            axes = rows[row, column + 1]
            assert axes.images[0].get_array()[0, 0, 0] == found.retrieved[row, column]
            right = found.right[row, column]
            assert to_hex(axes.spines["left"].get_edgecolor()) == (RIGHT if right else WRONG).lower()
            assert axes.get_title().endswith("✓" if right else "✗")
