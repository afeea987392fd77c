"""The figures of models: the final stage on the test split, and how the best trials rank the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import plotly.graph_objects as go

from search.report.gather import RunData, grouped
from search.report.style import BLUE, GRAY, GREEN, ORANGE, PINK, YELLOW, with_axes
from search.report.text import configuration_label
from search.results.schema import Row

MODEL = {"size": 9, "opacity": 0.7}
MEAN = {"color": ORANGE, "size": 18, "symbol": "line-ns-open", "line": {"width": 3}}


def models(data: RunData) -> go.Figure:
    """Test mAP of every model of the final stage, with the mean of each configuration."""
    figure = go.Figure()
    configurations = grouped(data.models, "configuration")
    for rows in configurations.values():
        measured = [row for row in rows if row["test/mAP"] is not None]
        if measured:
            _add_configuration(figure, measured)
    figure.update_layout(height=130 + 36 * len(configurations))
    return with_axes(figure, "test mAP", None)


def ranking(data: RunData) -> tuple[go.Figure, go.Figure]:
    """CMC, and precision over recall, of the best trials on the validation split."""
    cmc, precision = go.Figure(), go.Figure()
    for panel, color in zip(data.panels, (BLUE, ORANGE, GREEN, PINK, YELLOW), strict=False):
        name = f"trial {panel.trial} (mAP {panel.curves['mAP']:.3f})"
        line = {"color": color}
        values = panel.curves["cmc"]
        ranks = list(range(1, len(values) + 1))
        cmc.add_scatter(x=ranks, y=_percent(values), name=name, mode="lines+markers", line=line)
        values = panel.curves["precision"]
        recall = [100 * i / (len(values) - 1) for i in range(len(values))]
        precision.add_scatter(x=recall, y=_percent(values), name=name, mode="lines", line=line)
    with_axes(cmc, "rank", "queries with a match by that rank (%)")
    with_axes(precision, "recall (%)", "precision, mean over queries (%)")
    for figure in (cmc, precision):  # a single curve is named as well, and a flat one leaves 100 % in sight
        lowest = min((min(curve.y) for curve in figure.data), default=0)
        figure.update_layout(showlegend=True)
        figure.update_yaxes(range=[max(0, min(lowest - 5, 90)), 101])
    return cmc, precision


def _add_configuration(figure: go.Figure, rows: Sequence[Row]) -> None:
    """One line of the figure: a dot for each model, and a bar at their mean."""
    label = configuration_label(rows[0])
    color = BLUE if rows[0]["champion"] else GRAY
    values = [row["test/mAP"] for row in rows]
    figure.add_scatter(
        x=values,
        y=[label] * len(values),
        mode="markers",
        marker={"color": color, **MODEL},
        text=[f"{row['fold']}, seed {row['seed']}" for row in rows],
        hovertemplate="%{x:.4f} (%{text})<extra></extra>",
        showlegend=False,
    )
    figure.add_scatter(
        x=[fmean(values)],
        y=[label],
        mode="markers",
        marker=MEAN,
        hovertemplate="mean %{x:.4f}<extra></extra>",
        showlegend=False,
    )


def _percent(fractions: Sequence[float]) -> list[float]:
    return [100 * fraction for fraction in fractions]
