"""The sections of the report that hold a figure each: which a run has, in which order, and what to make of them."""

from __future__ import annotations

from collections.abc import Iterator
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
        "One line a trial, bright where it did well. Drag along an axis to pick out lines.",
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
    return _section("claims", model_figures.claims(data), intervals=intervals(errors))


def sections(data: RunData) -> list[Section]:
    """All for which the run has data, in the order of the page."""
    return list(_sections(data))


def _sections(data: RunData) -> Iterator[Section]:
    if data.models:
        yield _section("models", model_figures.models(data))
    if any(row["objective"] is not None for row in data.trials):
        shown, known = len(data.comparable), sum(row["objective"] is not None for row in data.trials)
        left_out = f"; {known - shown} that never saw the last fold or seed are left out" if known > shown else ""
        yield _section("history", search_figures.history(data), left_out=left_out)
        yield _section("curves", search_figures.curves(data))
    if (figure := search_figures.parallel(data)) is not None:
        yield _section("parallel", figure)
    if data.params:
        yield _importance(data)
    if (figure := search_figures.stage_weights(data)) is not None:
        yield _section("stages", figure)
    if len(data.config.search.objectives) > 1 and (figure := search_figures.pareto(data)) is not None:
        yield _section("pareto", figure)
    if data.panels:
        cmc, precision = model_figures.ranking(data)
        fold = data.config.data.folds[0]
        yield _section("cmc", cmc, fold=fold)
        yield _section("precision", precision, fold=fold)


def _importance(data: RunData) -> Section:
    """Where there are too few trials, the section says so in place of the figure."""
    shares = importances(data)
    trials = len(comparable(data)[0])
    if not shares:
        return Section("importance", CAPTIONS["importance"][0], TOO_FEW.format(trials=trials), Markup(""))
    return _section("importance", search_figures.importance(shares), trials=trials)


def _section(anchor: str, figure: go.Figure, **facts: object) -> Section:
    """`facts`: what the caption names."""
    title, caption = CAPTIONS[anchor]
    html = figure.to_html(full_html=False, include_plotlyjs=False, config=PLOTLY, div_id=f"figure-{anchor}")
    return Section(anchor, title, caption.format(**facts), Markup(html))
