"""The figures of models: the final stage on the test split, and how the best trials rank the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import plotly.graph_objects as go

from search.report.gather import RunData
from search.report.style import BLUE, GRAY, GREEN, ORANGE, PINK, YELLOW, with_axes
from search.report.text import IN_FULL, configuration_label, metric_name
from search.results.schema import Row, grouped
from search.retrain.claims import KINDS, Kind

MODEL = {"size": 9, "opacity": 0.7}
MEAN = {"color": ORANGE, "size": 18, "symbol": "line-ns-open", "line": {"width": 3}}


CLAIM: dict[Kind, tuple[float, str, str]] = {"split": (-0.16, BLUE, "circle"), "people": (0.16, ORANGE, "diamond")}
"""of each kind: its place beside the line of its comparison, its colour, its mark"""


def claims(data: RunData) -> go.Figure:
    """The champion's lead with its interval in every comparison, on this split and for people side by side."""
    figure = go.Figure()
    lines = list(dict.fromkeys((row["baseline"], metric_name(row)) for row in data.claims))
    for kind in KINDS:
        place, color, mark = CLAIM[kind]
        for is_tested in (True, False):
            rows = [row for row in data.claims if row["kind"] == kind and (row["status"] != "not tested") == is_tested]
            if rows:
                _add_claims(
                    figure,
                    rows,
                    [lines.index((row["baseline"], metric_name(row))) + place for row in rows],
                    name=IN_FULL[kind] if is_tested else f"{IN_FULL[kind]}, not tested",
                    color=color if is_tested else GRAY,
                    mark=mark,
                )
    figure.add_vline(x=0, line={"color": GRAY, "width": 2, "dash": "dot"})
    figure.update_layout(height=150 + 62 * len(lines), showlegend=True)
    with_axes(figure, "lead, points", None)
    texts = [f"{name},<br>{metric}" for name, metric in lines]
    figure.update_yaxes(tickvals=list(range(len(lines))), ticktext=texts, range=[len(lines) - 0.5, -0.5])
    return figure


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


def _add_claims(
    figure: go.Figure, rows: Sequence[Row], places: Sequence[float], *, name: str, color: str, mark: str
) -> None:
    """Dots with intervals; where no test was possible, the dot alone."""
    ends = [(row["interval_low"], row["interval_high"]) for row in rows]
    leads = [row["difference"] for row in rows]
    above = [0.0 if high is None else high - lead for (_, high), lead in zip(ends, leads, strict=True)]
    below = [0.0 if low is None else lead - low for (low, _), lead in zip(ends, leads, strict=True)]
    figure.add_scatter(
        x=_percent(leads),
        y=list(places),
        name=name,
        mode="markers",
        marker={"color": color, "size": 9, "symbol": mark},
        error_x={"type": "data", "array": _percent(above), "arrayminus": _percent(below), "color": color, "width": 5},
        text=[f"{row['baseline']}, {metric_name(row)}: {row['status']}" for row in rows],
        hovertemplate="%{x:+.1f} (%{text})<extra></extra>",
    )


def _percent(fractions: Sequence[float]) -> list[float]:
    return [100 * fraction for fraction in fractions]
