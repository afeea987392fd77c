"""The sections of the report that hold a figure each: which a run has, in which order, and what to make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import plotly.graph_objects as go
from markupsafe import Markup

from search.report import model_figures, search_figures
from search.report.gather import RunData
from search.report.importance import FEWEST, comparable, importances
from search.retrain.claims import intervals

PLOTLY = {"displaylogo": False, "responsive": True, "displayModeBar": False}

CAPTIONS = {
    "claims": (
        "Does searching pay?",
        "How far the champion is ahead in each comparison: the mark is the lead, the bar its interval ({intervals}). A "
        "claim is shown where the whole bar is to the right of zero; what is grey was not tested, because a comparison "
        "above it was not shown.",
    ),
    "models": (
        "Final stage",
        "Every retrained model on the test split: a dot is a model, a bar the mean of its row.",
    ),
    "history": (
        "History",
        "Each mark is a trial by its objective on the validation split. Crosses did not run to their end; their "
        "figures are over fewer epochs{left_out}.",
    ),
    "curves": (
        "Learning curves",
        "What the scheduler saw: compare lines at equal epochs, where they are over the same folds and seeds. A line "
        "that ends early is a trial that was stopped.",
    ),
    "parallel": (
        "What good settings have in common",
        "One line a trial, bright where it did well; grey where it did not run to its end, since its figure is over "
        "fewer epochs. Drag along an axis to pick out lines.",
    ),
    "importance": (
        "What mattered",
        "PED-ANOVA: how much the best tenth of the complete trials differs from all of them in each quantity. It says "
        "where to look, not what causes what; it rests on {trials} complete trials.",
    ),
    "stages": (
        "Stage weights",
        "Weights of the four backbone stages at the end of training. Learned weights drift to the stage with the "
        "smallest loss, because they are trained on the very loss that they weigh: this is why they are searched.",
    ),
    "pareto": (
        "Trade-off",
        "No complete trial is better in all objectives than those on the line; the numbers are trials.",
    ),
    "cmc": ("Cumulative match characteristic", "The best trials on the validation split of {fold}."),
    "precision": ("Precision and recall", "The best trials on the validation split of {fold}."),
}
"""title and caption by anchor"""
TOO_FEW = (
    f"Importance needs at least {FEWEST} complete trials that differ and in which every searched quantity was set "
    "(learned stage weights are not); there are {trials} of them."
)


@dataclass(frozen=True)
class Section:
    """One figure with its heading and what to make of it."""

    anchor: str
    title: str
    caption: str
    html: Markup


def claims_section(data: RunData) -> Section | None:
    """The picture that the page begins with; None before the end of the final stage."""
    if not data.claims:
        return None
    errors = {row.get("look") or 1: row["error"] for row in data.claims}
    return next(_drawn("claims", lambda: model_figures.claims(data), intervals=intervals(errors)))


def sections(data: RunData) -> list[Section]:
    """All for which the run has data, in the order of the page."""
    return list(_sections(data))


def _sections(data: RunData) -> Iterator[Section]:
    if data.models:
        yield from _drawn("models", lambda: model_figures.models(data))
    if any(row["objective"] is not None for row in data.trials):
        shown, known = len(data.comparable), sum(row["objective"] is not None for row in data.trials)
        left_out = f"; {known - shown} that never saw the last fold or seed are left out" if known > shown else ""
        yield from _drawn("history", lambda: search_figures.history(data), left_out=left_out)
        yield from _drawn("curves", lambda: search_figures.curves(data))
    yield from _drawn("parallel", lambda: search_figures.parallel(data))
    if data.params:
        yield from _importance(data)
    yield from _drawn("stages", lambda: search_figures.stage_weights(data))
    if len(data.config.search.objectives) > 1:
        yield from _drawn("pareto", lambda: search_figures.pareto(data))
    if data.panels:
        fold = data.config.data.folds[0]
        yield from _drawn("cmc", lambda: model_figures.ranking(data)[0], fold=fold)
        yield from _drawn("precision", lambda: model_figures.ranking(data)[1], fold=fold)


def _importance(data: RunData) -> Iterator[Section]:
    """Where there are too few trials, the section says so in place of the figure."""
    rows, names = comparable(data)
    if len(rows) < FEWEST or not names:
        return iter([Section("importance", CAPTIONS["importance"][0], TOO_FEW.format(trials=len(rows)), Markup(""))])
    return _drawn("importance", lambda: search_figures.importance(importances(data)), trials=len(rows))


def _drawn(anchor: str, draw: Callable[[], go.Figure | None], **facts: object) -> Iterator[Section]:
    """A section of one figure, unless there is none to draw. `facts`: what the caption names.

    A figure that cannot be drawn costs nothing but itself, and its section says so.
    """
    title, caption = CAPTIONS[anchor]
    try:
        figure = draw()
        if figure is None:
            return
        html = figure.to_html(full_html=False, include_plotlyjs=False, config=PLOTLY, div_id=f"figure-{anchor}")
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        yield Section(anchor, title, f"This figure could not be drawn: {reason}", Markup(""))
    else:
        yield Section(anchor, title, caption.format(**facts), Markup(html))
