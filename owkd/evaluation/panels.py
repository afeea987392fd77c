"""What a person looks at to assess a model: queries beside the images that it ranks first, right and wrong ones marked.

Shapes: n images of a split, S image size, D embedding size, R rows of the panel, T images shown in a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from owkd.errors import DataError
from owkd.evaluation.protocol import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 6
TOP = 10
RIGHT, WRONG, QUERY = "#009E73", "#D55E00", "#444444"


@dataclass(frozen=True)
class Retrieval:
    """The first images of some ranked lists (standard protocol).

    Attributes:
        queries: (R,) positions of the query images
        retrieved: (R, T) positions, the closest first
        right: (R, T) whether they show the query's person
        average_precision: (R,) of each query
    """

    queries: NDArray[np.int64]
    retrieved: NDArray[np.int64]
    right: NDArray[np.bool_]
    average_precision: NDArray[np.float64]


def retrieve(
    embeddings: Tensor, identities: NDArray[np.integer], result: Result, rows: int = ROWS, top: int = TOP
) -> Retrieval:
    """The first `top` images for `rows` queries whose average precision is spread from the worst to the best.

    embeddings (n, D); `result` is that of the standard protocol on them. Of equals the earlier image comes first, so
    that the same embeddings give the same panel. Raises `DataError` for another protocol.
    """
    if result.protocol != "standard":
        raise DataError(f"a panel needs the result of protocol 'standard', but got {result.protocol!r}")
    counts = {
        int(identity): int(count) for identity, count in zip(*np.unique(identities, return_counts=True), strict=True)
    }
    valid = np.flatnonzero([counts[int(identity)] > 1 for identity in identities])
    order = np.argsort(result.average_precision, kind="stable")
    picked = np.unique(np.linspace(0, len(order) - 1, min(rows, len(order))).round().astype(int))
    precisions = result.average_precision[order[picked]]
    queries = valid[order[picked]]
    values = embeddings.detach().to(torch.float64)
    distances = torch.cdist(values[queries], values, compute_mode="donot_use_mm_for_euclid_dist")
    distances[torch.arange(len(queries)), torch.as_tensor(queries, device=distances.device)] = torch.inf
    nearest = distances.sort(dim=1, stable=True).indices[:, : min(top, len(values) - 1)].cpu().numpy()
    right = np.asarray(identities)[nearest] == np.asarray(identities)[queries][:, None]
    return Retrieval(queries, nearest, right, precisions)


def retrieval_figure(images: NDArray[np.uint8], retrieval: Retrieval, title: str = "Retrieval") -> Figure:
    """Query and first images of each list, from `images` (n, S, S, 3); right ones have a green frame and a tick."""
    from matplotlib.figure import Figure

    rows, top = retrieval.retrieved.shape
    figure = Figure(figsize=(0.95 * (top + 1) + 0.3, 1.12 * rows + 0.6), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    grid = figure.subplots(rows, top + 1, squeeze=False)
    for row in range(rows):
        _show(grid[row, 0], images[retrieval.queries[row]], QUERY, f"AP {100 * retrieval.average_precision[row]:.0f} %")
        for column in range(top):
            right = bool(retrieval.right[row, column])
            # a sign beside the colour: green and red look alike to many
            label = f"{column + 1} {'✓' if right else '✗'}"
            _show(grid[row, column + 1], images[retrieval.retrieved[row, column]], RIGHT if right else WRONG, label)
    grid[0, 0].set_title("query\n" + grid[0, 0].get_title(), fontsize=8, color=QUERY, pad=2)
    return figure


def _show(axes: Axes, image: NDArray[np.uint8], color: str, label: str) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(label, fontsize=8, color=color, pad=2)
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=2.5)
