"""The page: one HTML file with everything in it, readable on a phone, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from owkd.files import require_writable, written_whole
from owkd.formatting import format_metric, format_value
from search.luck import noise_in_words
from search.report import text
from search.report.gather import RunData, gather, param
from search.report.sections import claims_section, sections
from search.results.equal_epochs import whole_epochs
from search.results.schema import Row
from search.retrain.comparison import CHAMPION
from search.space.parameters import reduction_in_words
from search.storage.address import Address
from search.trials.view import look_in_words

TOP_TRIALS = 10


def write_report(
    run: Address | Path | str, out: Path | None = None, warn: Callable[[str], object] = lambda note: None
) -> Path:
    """Writes the report of a run, to `report.html` beside its run.yaml where `out` is unset -> the file.

    Of a run in a store, that is a file on this machine, which goes to the store as well.

    Works on a run in any state, also while it is driven. What the page can do without and is damaged is left out: the
    page says so, and `warn` is told. Raises `UserError` when `run` is no run, or when what is left is damaged.
    """
    if out is not None:
        require_writable(out)
    data = gather(run)
    for note in data.notes:
        warn(note)
    file = out or data.folder.root / "report.html"
    environment = Environment(loader=PackageLoader("search.report", "."), autoescape=True, undefined=StrictUndefined)
    html = environment.get_template("page.html.j2").render(_context(data))
    with written_whole(file) as temporary:
        temporary.write_text(html, encoding="utf-8")
    if out is None:
        data.folder.publish(file)
    return file


def _context(data: RunData) -> dict[str, Any]:
    return {
        "name": data.folder.name,
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "state": "running" if data.has_driver else "finished" if data.comparison is not None else "not running",
        "status": text.status(data),
        "headline": text.headline(data),
        "notes": data.notes,
        "teaching": text.teaching(data),
        "picture": claims_section(data),
        "candidates": text.candidates(data),
        "claims": text.claims(data),
        "others": [] if data.comparison is None else data.comparison.get("others", []),
        "caveat": "" if data.comparison is None else data.comparison.get("caveat", ""),
        "cost": text.cost_in_words(data),
        "failures": text.failures(data),
        "sections": sections(data),
        "panels": data.panels[:3],
        "fold": data.config.data.folds[0],
        "top": _top(data),
        "params": list(_groups(data)),
        "metric": data.metric,
        "objective_in_words": f"{data.metric}: {reduction_in_words(data.config)}, and the mean over parts",
        "noise": noise_in_words(data.noise),
        "versions": data.manifest.get("versions", {}),
        "created_at": data.manifest.get("created_at", ""),
        "config": yaml.safe_dump(data.config.to_dict(), sort_keys=False),
        "champion_name": CHAMPION,
        "plotly": Markup(get_plotlyjs()),
    }


def _top(data: RunData) -> list[dict[str, Any]]:
    rows = [row for row in data.trials if row["objective"] is not None][:TOP_TRIALS]
    then = data.best_then
    return [
        {
            "trial": row["trial"],
            "complete": row["state"] == "complete",
            "state": text.state_in_words(row["state"])
            + (f", {row['fixed']}" if row["fixed"] else "")
            + look_in_words(row["look"]),
            "objective": format_metric(row["objective"]),
            "epochs": f"{row['last_step']}/{whole_epochs(row)}",
            "then": format_metric(then[row["trial"]]) if row["trial"] in then else "",
            "values": [_format_cell(row, names) for names in _groups(data).values()],
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


def _format_cell(row: Row, names: list[str]) -> str:
    values = {name: param(row, name) for name in names}
    if None in values.values():
        return "-"
    return format_value(values if len(values) > 1 else values[names[0]])
