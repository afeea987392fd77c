"""Figures of evaluation results and of a training history, drawn without pyplot and thus without global state.

Colours are those of Okabe and Ito, which stay apart for colour-blind readers; beyond one round of them, the dashes and
markers change.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from owkd.config import EPOCH_METRICS, METRICS
from owkd.errors import DataError
from owkd.evaluation.protocol import Result
from owkd.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES_AND_MARKERS = (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D"))


def cmc_figure(results: Mapping[str, Result], title: str = "Cumulative match characteristic") -> Figure:
    """One CMC curve for each named result, ranks 1 to 20. Raises `DataError` without a result."""
    _require_some(results)
    figure, axes = _figure(title)
    for (name, result), style in zip(results.items(), _styles(), strict=False):
        ranks = np.arange(1, len(result.cmc) + 1)
        axes.plot(ranks, 100 * result.cmc, label=f"{name}: rank-1 {100 * result.cmc[0]:.1f} %", **style)
    axes.set(xlabel="rank", ylabel="queries with a match by that rank (%)", xlim=(0.5, 20.5), ylim=(0, 103))
    axes.set_xticks([1, 5, 10, 15, 20])
    _finish(figure, axes)
    return figure


def precision_recall_figure(results: Mapping[str, Result], title: str = "Precision and recall") -> Figure:
    """One interpolated precision-recall curve for each named result. Raises `DataError` without a result."""
    _require_some(results)
    figure, axes = _figure(title)
    for (name, result), style in zip(results.items(), _styles(), strict=False):
        recall = np.linspace(0, 100, len(result.precision))
        label = f"{name}: mAP {100 * result.mean_average_precision:.1f} %"
        axes.plot(recall, 100 * result.precision, label=label, markevery=10, **style)
    axes.set(xlabel="recall (%)", ylabel="precision, mean over queries (%)", xlim=(-2, 102), ylim=(0, 103))
    _finish(figure, axes)
    return figure


def loss_figure(history: Sequence[Mapping[str, float]], title: str = "Training loss") -> Figure:
    """`loss/total` by epoch, from the metrics of each epoch, the first one first. Raises `DataError` without one."""
    _require_some(history)
    figure, axes = _figure(title)
    _plot_epochs(axes, _column(history, "loss/total"), "total loss", next(_styles()))
    axes.set(xlabel="epoch", ylabel="loss, mean over the epoch's batches")
    _finish(figure, axes, legend=False)
    return figure


def accuracy_figure(history: Sequence[Mapping[str, float]], title: str = "Validation accuracy") -> Figure:
    """Every validation metric (`owkd.config.EPOCH_METRICS`) by epoch, as far as the epochs have it.

    An epoch that lacks a value leaves a gap. Raises `DataError` without an epoch.
    """
    _require_some(history)
    figure, axes = _figure(title)
    for key, style in zip(EPOCH_METRICS, _styles(), strict=False):
        values, name = 100 * _column(history, key), METRICS[key].label
        if not np.isnan(values).all():
            best = int(np.nanargmax(values))
            _plot_epochs(axes, values, f"{name}: best {values[best]:.1f} % (epoch {best + 1})", style)
    axes.set(xlabel="epoch", ylabel="accuracy on the validation split (%)", ylim=(0, 103))
    _finish(figure, axes)
    return figure


def save_png(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Writes the figure as one PNG file that appears whole; returns `path`. The same figure gives the same bytes."""
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
    return path


def _require_some(values: Mapping[str, Result] | Sequence[Mapping[str, float]]) -> None:
    if not values:
        raise DataError("a figure needs at least one result or epoch, but got none; evaluate or train first")


def _figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=13, fontweight="bold", loc="left", pad=10)
    return figure, axes


def _styles() -> Iterator[dict[str, Any]]:
    for (dash, marker), color in itertools.cycle(itertools.product(DASHES_AND_MARKERS, COLORS)):
        yield {"color": color, "linestyle": dash, "marker": marker, "markersize": 4.5, "linewidth": 1.8}


def _column(history: Sequence[Mapping[str, float]], key: str) -> NDArray[np.float64]:
    return np.array([epoch.get(key, np.nan) for epoch in history], dtype=np.float64)


def _plot_epochs(axes: Axes, values: NDArray[np.float64], label: str, style: dict[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.plot(np.arange(1, len(values) + 1), values, label=label, markevery=max(1, len(values) // 20), **style)
    axes.set_xlim(0.5, len(values) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _finish(figure: Figure, axes: Axes, legend: bool = True) -> None:
    axes.grid(color="#D9D9D9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_lines():  # below the axes, where it covers no curve
        figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
