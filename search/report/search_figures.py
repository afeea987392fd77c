"""The figures of the search: how trials did, and which parameters they had."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sequential

from owkd.formatting import format_value
from search.report.gather import STAGE_WEIGHTS, RunData, param, short
from search.report.style import BLUE, FEW_TICKS, GRAY, GREEN, ORANGE, SKY, TRANSPARENT, state_color, with_axes
from search.report.text import state_in_words
from search.results.equal_epochs import whole_epochs
from search.results.schema import METRIC, Row, grouped
from search.space import entry_of_column
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED, stopped_at

CURVES_SHOWN = 300
"""beyond so many trials, the curves of the poorest are left out: nobody could distinguish them"""
CURVES_WITH_MARKERS = 60
DIMENSIONS_SHOWN = 12
GRAY_SHARE = 0.08
"""of a scale of colours, for what is not on it"""


def history(data: RunData) -> go.Figure:
    """The objective of every trial that saw all parts, and the best complete one so far."""
    figure = go.Figure()
    by_number = sorted(data.comparable, key=lambda row: int(row["trial"]))
    for state, rows in grouped(by_number, "state").items():
        symbol = "circle" if state == "complete" else "x"
        _add_rows(
            figure,
            rows,
            "trial",
            "objective",
            mode="markers",
            name=state_in_words(state),
            marker={"color": state_color(state), "size": 9, "symbol": symbol},
            text=[_hover(data, row) for row in rows],
            hovertemplate="trial %{x}: %{y:.4f}%{text}",
        )
    style = {"color": BLUE, "shape": "hv", "width": 2}
    _add_rows(figure, _best_so_far(data), "trial", "objective", mode="lines", name="best so far", line=style)
    return with_axes(figure, "trial", data.metric, whole=len(data.trials) <= FEW_TICKS)


def curves(data: RunData) -> go.Figure:
    """The objective of each trial by epoch; the best trial stands out."""
    figure = go.Figure()
    best = data.best
    shown = [row for row in data.trials if data.epochs.get(row["trial"])][:CURVES_SHOWN]
    for state, rows in grouped(shown, "state").items():
        _add_rows(
            figure,
            _with_gaps(data.epochs[row["trial"]] for row in rows if row is not best),
            "step",
            "objective",
            mode="lines+markers" if len(shown) <= CURVES_WITH_MARKERS else "lines",
            name=state_in_words(state),
            line={"color": state_color(state), "width": 1},
            marker={"size": 4},
            opacity=0.6,
            hoverinfo="skip",
        )
    if best is not None and data.epochs.get(best["trial"]):
        name, style = f"trial {best['trial']} (best)", {"color": BLUE, "width": 3}
        epochs = data.epochs[best["trial"]]
        _add_rows(figure, epochs, "step", "objective", mode="lines+markers", name=name, line=style)
    longest = max((row["last_step"] or 0 for row in shown), default=0)
    return with_axes(figure, "epochs, over all folds and seeds", data.metric, whole=longest <= FEW_TICKS)


def pareto(data: RunData) -> go.Figure | None:
    """Complete trials over the first two objectives; those that no other beats in all of them are joined."""
    first, second = (f"{METRIC}{objective.metric}" for objective in data.config.search.objectives[:2])
    rows = [row for row in data.complete if row.get(first) is not None and row.get(second) is not None]
    if not rows:
        return None
    front = sorted((row for row in rows if row["pareto"]), key=lambda row: float(row[second]))
    figure = go.Figure()
    _add_rows(
        figure,
        rows,
        second,
        first,
        mode="markers",
        name="complete",
        marker={"color": GRAY, "size": 8},
        text=[f"trial {row['trial']}" for row in rows],
    )
    _add_rows(
        figure,
        front,
        second,
        first,
        mode="lines+markers+text",
        name="Pareto front",
        line={"color": BLUE, "dash": "dot"},
        marker={"size": 10},
        text=[str(row["trial"]) for row in front],
        textposition="top center",
    )
    return with_axes(figure, second.removeprefix(METRIC), first.removeprefix(METRIC))


def parallel(data: RunData) -> go.Figure | None:
    """Parallel coordinates of the trials that saw all parts: what good settings have in common."""
    rows = data.comparable
    names = [name for name in data.params if any(param(row, name) is not None for row in rows)][:DIMENSIONS_SHOWN]
    if len(rows) < 2 or not names:
        return None
    dimensions = [_dimension(data, name, [param(row, name) for row in rows]) for name in names]
    if any(row["state"] != "complete" for row in rows):
        dimensions.append({"label": "epochs", "values": [row["last_step"] for row in rows]})
    dimensions.append({"label": data.metric, "values": [row["objective"] for row in rows]})
    figure = go.Figure(go.Parcoords(line=_line_colors(data, rows), dimensions=dimensions, labelangle=-20))
    return figure.update_layout(margin={"l": 60, "r": 30, "t": 90, "b": 30}, height=440, paper_bgcolor=TRANSPARENT)


def _line_colors(data: RunData, rows: Sequence[Row]) -> dict[str, Any]:
    """By the objective; gray for trials that are not complete, which stand below the scale of those that are."""
    complete = [row["objective"] for row in rows if row["state"] == "complete"]
    if not complete:
        return {"color": GRAY}
    low, high = min(complete), max(complete)
    below = (high - low or 1.0) * GRAY_SHARE / (1 - GRAY_SHARE)
    colors = sequential.Viridis
    steps = ((GRAY_SHARE + (1 - GRAY_SHARE) * (place / (len(colors) - 1)), color) for place, color in enumerate(colors))
    return {
        "color": [row["objective"] if row["state"] == "complete" else low - below for row in rows],
        "colorscale": [(0.0, GRAY), (GRAY_SHARE, GRAY), *steps] if len(complete) < len(rows) else "Viridis",
        "cmin": low - below if len(complete) < len(rows) else low,
        "cmax": high,
        "showscale": True,
        "colorbar": {"title": {"text": data.metric}},
    }


def importance(shares: Mapping[str, float]) -> go.Figure:
    """Shares of the searched quantities, the largest on top."""
    names = list(shares)[::-1]
    figure = go.Figure(
        go.Bar(
            x=[100 * shares[name] for name in names],
            y=[short(name) for name in names],
            orientation="h",
            marker={"color": BLUE},
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
        )
    )
    figure.update_layout(height=110 + 26 * len(names))
    return with_axes(figure, "share of the importance (%)", None)


def stage_weights(data: RunData) -> go.Figure | None:
    """Weights of the four stages in the best trials: learned where nothing fixed them, and as searched elsewhere."""
    figure = go.Figure()
    shown = [row for row in data.complete if row["fixed"] != NO_DISTILLATION_NAME][:3]
    shown += [row for row in data.trials if row["fixed"] == PUBLISHED and row not in shown]
    for row, color in zip(shown, (BLUE, GREEN, SKY, ORANGE), strict=False):
        last = next(iter(reversed(data.epochs.get(row["trial"], ()))), None)
        if last is None or any(last.get(name) is None for name in STAGE_WEIGHTS):
            continue
        kind = "searched" if param(row, "distill.stage_weights.stage1") is not None else _configured_kind(data)
        figure.add_bar(
            x=[f"stage {stage}" for stage in range(1, 5)],
            y=[last[name] for name in STAGE_WEIGHTS],
            name=f"trial {row['trial']}: {kind}" + (f" ({PUBLISHED})" if row["fixed"] else ""),
            marker={"color": color},
        )
    if not figure.data:
        return None
    figure.add_hline(y=1, line={"dash": "dot", "color": GRAY, "width": 1})
    return with_axes(figure, None, "weight (mean 1)").update_layout(barmode="group")


def _add_rows(figure: go.Figure, rows: Sequence[Row], x: str, y: str, **style: Any) -> None:
    """Adds one trace: column `y` of the rows over column `x`; a row without a value interrupts a line."""
    figure.add_scatter(x=[row.get(x) for row in rows], y=[row.get(y) for row in rows], **style)


def _with_gaps(lines: Iterable[Sequence[Row]]) -> list[Row]:
    """Many lines as the rows of one trace: an empty row ends each."""
    return [row for line in lines for row in (*line, {})]


def _best_so_far(data: RunData) -> list[Row]:
    """One row a complete trial: the best objective until then."""
    better = max if data.config.search.objectives[0].direction == "max" else min
    complete = sorted(data.complete, key=lambda row: int(row["trial"]))
    best = accumulate((row["objective"] for row in complete), better)
    return [{"trial": row["trial"], "objective": value} for row, value in zip(complete, best, strict=True)]


def _hover(data: RunData, row: Row) -> str:
    """How far a trial came where that is not all, and its values."""
    at = stopped_at(row["state"], row["last_step"], whole_epochs(row) or 0)
    return f"{at}<br>{_parameters(data, row)}"


def _parameters(data: RunData, row: Row) -> str:
    """The values of a trial for people, one a line."""
    values = {name: param(row, name) for name in data.params}
    return "<br>".join(f"{short(name)} {format_value(value)}" for name, value in values.items() if value is not None)


def _dimension(data: RunData, name: str, values: Sequence[Any]) -> dict[str, Any]:
    """One axis of the parallel coordinates: numbers, their logarithms where the space is logarithmic, or choices."""
    label = short(name)
    entry = entry_of_column(data.config.search.space, name)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values if value is not None):
        if entry and entry.log:
            logs = [math.log10(value) if value else None for value in values]
            known = [value for value in logs if value is not None]
            if not known:  # off in every trial: nothing that a logarithm could show
                return {"label": label, "values": values}
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


def _configured_kind(data: RunData) -> str:
    return "learned" if data.config.distill.stage_weights == "learned" else "fixed"
