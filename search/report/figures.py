"""The figures of the report, drawn by Plotly. Colours are those of Okabe and Ito, which colour-blind readers can tell.

Backgrounds are transparent and colours of text come from the page, so that one figure serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from search.report.gather import STAGE_WEIGHTS, RunData, param, short
from search.report.text import state_in_words
from search.results.schema import METRIC, Row

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, GRAY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8A8A8A",
)
STATE_COLORS = {
    "complete": GREEN,
    "pruned": YELLOW,
    "running": SKY,
    "interrupted": SKY,
    "diverged": PINK,
    "out_of_memory": ORANGE,
    "error": ORANGE,
}
CURVES_SHOWN = 300
"""beyond so many trials, the curves of the poorest are left out: nobody could tell them apart"""
DIMENSIONS_SHOWN = 12
TICKS = 20
"""so many whole numbers fit below an axis"""


def history(data: RunData) -> go.Figure:
    """Every trial's objective, and the best so far."""
    figure = go.Figure()
    scored = sorted((row for row in data.trials if row["objective"] is not None), key=lambda row: int(row["trial"]))
    for state in dict.fromkeys(row["state"] for row in scored):
        rows = [row for row in scored if row["state"] == state]
        figure.add_scatter(
            x=[row["trial"] for row in rows],
            y=[row["objective"] for row in rows],
            mode="markers",
            name=state_in_words(state),
            marker={
                "color": STATE_COLORS.get(state, GRAY),
                "size": 9,
                "symbol": "circle" if state == "complete" else "x",
            },
            text=[_about(data, row) for row in rows],
            hovertemplate="trial %{x}: %{y:.4f}<br>%{text}",
        )
    xs, ys = _best_so_far(data)
    figure.add_scatter(x=xs, y=ys, mode="lines", name="best so far", line={"color": BLUE, "shape": "hv", "width": 2})
    return _finish(figure, "trial", data.metric, whole=len(data.trials) <= TICKS)


def curves(data: RunData) -> go.Figure:
    """The objective of each trial by epoch; the best trial stands out."""
    figure = go.Figure()
    best = data.best
    shown = [row for row in data.trials if data.epochs.get(row["trial"])][:CURVES_SHOWN]
    for state in dict.fromkeys(row["state"] for row in shown):
        xs: list[int | None] = []
        ys: list[float | None] = []
        for row in shown:
            if row["state"] == state and row is not best:
                epochs = data.epochs[row["trial"]]
                xs += [*(epoch["step"] for epoch in epochs), None]
                ys += [*(epoch["objective"] for epoch in epochs), None]
        mode = "lines+markers" if len(shown) <= 60 else "lines"
        line = {"color": STATE_COLORS.get(state, GRAY), "width": 1}
        figure.add_scatter(
            x=xs,
            y=ys,
            mode=mode,
            name=state_in_words(state),
            line=line,
            marker={"size": 4},
            opacity=0.6,
            hoverinfo="skip",
        )
    if best is not None and data.epochs.get(best["trial"]):
        epochs = data.epochs[best["trial"]]
        figure.add_scatter(
            x=[epoch["step"] for epoch in epochs],
            y=[epoch["objective"] for epoch in epochs],
            mode="lines+markers",
            name=f"trial {best['trial']} (best)",
            line={"color": BLUE, "width": 3},
        )
    longest = max((row["last_step"] or 0 for row in shown), default=0)
    return _finish(figure, "epochs, over all folds and seeds", data.metric, whole=longest <= TICKS)


def parallel(data: RunData) -> go.Figure | None:
    """Parallel coordinates of all trials with a value: what good settings have in common."""
    rows = [row for row in data.trials if row["objective"] is not None]
    names = [name for name in data.params if any(param(row, name) is not None for row in rows)][:DIMENSIONS_SHOWN]
    if len(rows) < 2 or not names:
        return None
    dimensions = [_dimension(data, name, [param(row, name) for row in rows]) for name in names]
    objective = [row["objective"] for row in rows]
    dimensions.append({"label": data.metric, "values": objective})
    figure = go.Figure(
        go.Parcoords(
            line={
                "color": objective,
                "colorscale": "Viridis",
                "showscale": True,
                "colorbar": {"title": {"text": data.metric}},
            },
            dimensions=dimensions,
            labelangle=-20,
        )
    )
    return figure.update_layout(margin={"l": 60, "r": 30, "t": 90, "b": 30}, height=440, paper_bgcolor="rgba(0,0,0,0)")


def importance(found: Mapping[str, float]) -> go.Figure:
    """Shares of the searched quantities, the largest on top."""
    names = list(found)[::-1]
    figure = go.Figure(
        go.Bar(
            x=[100 * found[name] for name in names],
            y=[short(name) for name in names],
            orientation="h",
            marker={"color": BLUE},
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
        )
    )
    figure.update_layout(height=110 + 26 * len(names))
    return _finish(figure, "share of the importance (%)", None)


def stage_weights(data: RunData) -> go.Figure | None:
    """Weights of the four stages in the best trials: learned where nothing fixed them, and as searched elsewhere."""
    figure = go.Figure()
    shown = data.complete[:3]
    shown += [row for row in data.trials if row["published"] and row not in shown]
    for row, color in zip(shown, (BLUE, GREEN, SKY, ORANGE), strict=False):
        last = next(iter(reversed(data.epochs.get(row["trial"], ()))), None)
        if last is None or any(last.get(name) is None for name in STAGE_WEIGHTS):
            continue
        kind = "searched" if param(row, "distill.stage_weights.stage1") is not None else _stage_kind(data)
        figure.add_bar(
            x=[f"stage {stage}" for stage in range(1, 5)],
            y=[last[name] for name in STAGE_WEIGHTS],
            name=f"trial {row['trial']}: {kind}" + (" (published)" if row["published"] else ""),
            marker={"color": color},
        )
    if not figure.data:
        return None
    figure.add_hline(y=1, line={"dash": "dot", "color": GRAY, "width": 1})
    return _finish(figure, None, "weight (mean 1)").update_layout(barmode="group")


def pareto(data: RunData) -> go.Figure | None:
    """Complete trials over the first two objectives; those that no other beats in all of them are joined."""
    first, second = (f"{METRIC}{objective.metric}" for objective in data.config.search.objectives[:2])
    rows = [row for row in data.complete if row.get(first) is not None and row.get(second) is not None]
    if not rows:
        return None
    figure = go.Figure()
    figure.add_scatter(
        x=[row[second] for row in rows],
        y=[row[first] for row in rows],
        mode="markers",
        name="complete",
        marker={"color": GRAY, "size": 8},
        text=[f"trial {row['trial']}" for row in rows],
    )
    front = sorted((row for row in rows if row["pareto"]), key=lambda row: float(row[second]))
    figure.add_scatter(
        x=[row[second] for row in front],
        y=[row[first] for row in front],
        mode="lines+markers+text",
        name="Pareto front",
        line={"color": BLUE, "dash": "dot"},
        marker={"size": 10},
        text=[str(row["trial"]) for row in front],
        textposition="top center",
    )
    return _finish(figure, second.removeprefix(METRIC), first.removeprefix(METRIC))


def models(data: RunData) -> go.Figure:
    """Test mAP of every model of the final stage, with the mean of each configuration."""
    figure = go.Figure()
    groups = dict.fromkeys(row["configuration"] for row in data.models)
    for name in groups:
        rows = [row for row in data.models if row["configuration"] == name and row["test/mAP"] is not None]
        if not rows:
            continue
        champion = bool(rows[0]["champion"])
        label = f"champion ({name})" if champion else name
        values = [row["test/mAP"] for row in rows]
        figure.add_scatter(
            x=values,
            y=[label] * len(values),
            mode="markers",
            marker={"color": BLUE if champion else GRAY, "size": 9, "opacity": 0.7},
            text=[f"{row['fold']}, seed {row['seed']}" for row in rows],
            hovertemplate="%{x:.4f} (%{text})<extra></extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[math.fsum(values) / len(values)],
            y=[label],
            mode="markers",
            marker={"color": ORANGE, "size": 18, "symbol": "line-ns-open", "line": {"width": 3}},
            hovertemplate="mean %{x:.4f}<extra></extra>",
            showlegend=False,
        )
    figure.update_layout(height=130 + 36 * len(groups))
    return _finish(figure, "test mAP", None)


def ranking(data: RunData) -> tuple[go.Figure, go.Figure]:
    """CMC, and precision over recall, of the best trials on the validation split."""
    cmc, precision = go.Figure(), go.Figure()
    for picture, color in zip(data.pictures, (BLUE, ORANGE, GREEN, PINK, YELLOW), strict=False):
        name = f"trial {picture.trial} (mAP {picture.curves['mAP']:.3f})"
        line = {"color": color}
        values = picture.curves["cmc"]
        cmc.add_scatter(
            x=list(range(1, len(values) + 1)), y=[100 * v for v in values], name=name, mode="lines+markers", line=line
        )
        values = picture.curves["precision"]
        recall = [100 * i / (len(values) - 1) for i in range(len(values))]
        precision.add_scatter(x=recall, y=[100 * v for v in values], name=name, mode="lines", line=line)
    _finish(cmc, "rank", "queries with a match by that rank (%)")
    _finish(precision, "recall (%)", "precision, mean over queries (%)")
    for figure in (cmc, precision):  # a single curve is named as well, and a flat one leaves 100 % in sight
        lowest = min((min(curve.y) for curve in figure.data), default=0)
        figure.update_layout(showlegend=True)
        figure.update_yaxes(range=[max(0, min(lowest - 5, 90)), 101])
    return cmc, precision


def _best_so_far(data: RunData) -> tuple[list[int], list[float]]:
    better = max if data.config.search.objectives[0].direction == "max" else min
    xs: list[int] = []
    ys: list[float] = []
    for row in sorted(data.complete, key=lambda row: int(row["trial"])):
        xs.append(row["trial"])
        ys.append(better(ys[-1], row["objective"]) if ys else row["objective"])
    return xs, ys


def _about(data: RunData, row: Row) -> str:
    parts = []
    for name in data.params:
        value = param(row, name)
        if value is not None:
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            parts.append(f"{short(name)} {shown}")
    return "<br>".join(parts)


def _dimension(data: RunData, name: str, values: Sequence[Any]) -> dict[str, Any]:
    label = short(name)
    entry = data.config.search.space.get(name)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values if value is not None):
        if getattr(entry, "log", False):
            logs = [math.log10(value) if value else None for value in values]
            known = [value for value in logs if value is not None]
            ticks = list(range(math.floor(min(known)), math.ceil(max(known)) + 1))
            return {"label": label, "values": logs, "tickvals": ticks, "ticktext": [f"1e{tick}" for tick in ticks]}
        return {"label": label, "values": values}
    texts = sorted({str(value) for value in values})
    return {
        "label": label,
        "values": [texts.index(str(value)) for value in values],
        "tickvals": list(range(len(texts))),
        "ticktext": texts,
    }


def _stage_kind(data: RunData) -> str:
    return "learned" if data.config.distill.stage_weights == "learned" else "fixed"


def _finish(figure: go.Figure, x: str | None, y: str | None, *, whole: bool = False) -> go.Figure:
    """`whole`: one tick for each whole number along x."""
    figure.update_layout(
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 13},
        hovermode="closest",
    )
    figure.update_xaxes(title={"text": x or ""}, automargin=True, zeroline=False, dtick=1 if whole else None)
    figure.update_yaxes(title={"text": y or ""}, automargin=True, zeroline=False)
    return figure
