"""The page: one HTML file with everything in it, readable on a phone, in the dark and on paper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from owkd.files import written_whole
from search.report import figures
from search.report import text as words
from search.report.gather import RunData, gather, param
from search.report.importance import FEWEST, comparable, importances
from search.results.schema import Row
from search.retrain.comparison import CHAMPION
from search.retrain.significance import points
from search.storage.address import Address

TOP_TRIALS = 10
FIGURE = {"displaylogo": False, "responsive": True, "displayModeBar": False}


@dataclass(frozen=True)
class Section:
    """One figure with its heading and what to make of it."""

    anchor: str
    title: str
    caption: str
    html: Markup


def write_report(run: Address | Path | str, out: Path | None = None) -> Path:
    """Writes the report of a run, to `report.html` beside its run.yaml where `out` is unset -> the file.

    Of a run in a store, that is a file on this machine, which goes to the store as well.

    Works on a run in any state, also while it is driven. Raises `UserError` when `run` is no run.
    """
    data = gather(run)
    file = out or data.folder.root / "report.html"
    environment = Environment(loader=PackageLoader("search.report", "."), autoescape=True, undefined=StrictUndefined)
    text = environment.get_template("page.html.j2").render(_context(data))
    with written_whole(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if out is None:
        data.folder.publish(file)
    return file


def _context(data: RunData) -> dict[str, Any]:
    return {
        "name": data.folder.name,
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "state": "running" if data.driven else "finished" if data.comparison is not None else "not running",
        "status": words.status(data),
        "headline": words.headline(data),
        "caveat": _caveat(data),
        "candidates": words.candidates(data),
        "tests": data.tests,
        "points": points,
        "cost": words.cost_in_words(data),
        "failures": words.failures(data),
        "sections": [section for section in _sections(data) if section is not None],
        "pictures": data.pictures[:3],
        "fold": data.config.data.folds[0],
        "top": _top(data),
        "params": list(_groups(data)),
        "metric": data.metric,
        "versions": data.manifest.get("versions", {}),
        "created_at": data.manifest.get("created_at", ""),
        "config": yaml.safe_dump(data.config.to_dict(), sort_keys=False),
        "champion_name": CHAMPION,
        "plotly": Markup(get_plotlyjs()),
    }


def _sections(data: RunData) -> list[Section | None]:
    found: list[Section | None] = []
    if data.models:
        found.append(
            _section(
                "models",
                "Final stage",
                "Every retrained model on the test split: a dot is a model, a bar the mean of its row.",
                figures.models(data),
            )
        )
    if any(row["objective"] is not None for row in data.trials):
        found.append(
            _section(
                "history",
                "History",
                "Each mark is a trial at its best epoch on the validation split; crosses did not run to their end.",
                figures.history(data),
            )
        )
        found.append(
            _section(
                "curves",
                "Learning curves",
                "What the scheduler saw. A line that ends early is a trial that was stopped.",
                figures.curves(data),
            )
        )
    found.append(_parallel(data))
    found.append(_importance(data))
    weights = figures.stage_weights(data)
    if weights is not None:
        caption = (
            "Weights of the four backbone stages at the end of training. Learned weights drift to the stage with the "
            "smallest loss, because they are trained on the very loss that they weigh: this is why they are searched."
        )
        found.append(_section("stages", "Stage weights", caption, weights))
    found.extend(_pareto(data))
    if data.pictures:
        cmc, precision = figures.ranking(data)
        caption = f"The best trials on the validation split of {data.config.data.folds[0]}."
        found.append(_section("cmc", "Cumulative match characteristic", caption, cmc))
        found.append(_section("precision", "Precision and recall", caption, precision))
    return found


def _parallel(data: RunData) -> Section | None:
    figure = figures.parallel(data)
    if figure is None:
        return None
    caption = "One line a trial, bright where it did well. Drag along an axis to pick out lines."
    return _section("parallel", "What good settings have in common", caption, figure)


def _importance(data: RunData) -> Section | None:
    if not data.params:
        return None
    title = "What mattered"
    found = importances(data)
    rows = len(comparable(data)[0])
    if not found:
        text = (
            f"Importance needs at least {FEWEST} complete trials that differ and in which every searched quantity was "
            f"set (learned stage weights are not); there are {rows} of them."
        )
        return Section("importance", title, text, Markup(""))
    caption = (
        "PED-ANOVA: how much the best tenth of the complete trials differs from all of them in each quantity. It says "
        f"where to look, not what causes what; it rests on {rows} complete trials."
    )
    return _section("importance", title, caption, figures.importance(found))


def _pareto(data: RunData) -> list[Section]:
    if len(data.config.search.objectives) < 2:
        return []
    figure = figures.pareto(data)
    caption = "No complete trial is better in all objectives than those on the line; the numbers are trials."
    return [] if figure is None else [_section("pareto", "Trade-off", caption, figure)]


def _section(anchor: str, title: str, caption: str, figure: go.Figure) -> Section:
    html = figure.to_html(full_html=False, include_plotlyjs=False, config=FIGURE, div_id=f"figure-{anchor}")
    return Section(anchor, title, caption, Markup(html))


def _caveat(data: RunData) -> str:
    return "" if data.comparison is None else str(data.comparison["paired_tests"]["caveat"])


def _top(data: RunData) -> list[dict[str, Any]]:
    rows = [row for row in data.trials if row["objective"] is not None][:TOP_TRIALS]
    return [
        {
            "trial": row["trial"],
            "state": words.state_in_words(row["state"]) + (", published" if row["published"] else ""),
            "objective": f"{row['objective']:.4f}",
            "values": [_cell(row, names) for names in _groups(data).values()],
        }
        for row in rows
    ]


def _groups(data: RunData) -> dict[str, list[str]]:
    """Searched columns by the heading that they share: the weights of a simplex stand in one cell."""
    groups: dict[str, list[str]] = {}
    for name in data.params:
        section = name.rpartition(".")[0]
        heading = section if section in data.config.search.space else name
        groups.setdefault(heading.rpartition(".")[2], []).append(name)
    return groups


def _cell(row: Row, names: list[str]) -> str:
    values = [param(row, name) for name in names]
    if all(value is None for value in values):
        return "-"
    if len(values) > 1:  # weights of a simplex
        return "/".join("-" if value is None else f"{value:.2f}" for value in values)
    return f"{values[0]:.3g}" if isinstance(values[0], float) else str(values[0])
