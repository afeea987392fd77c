"""One trial of a run in full, on the console."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from rich.table import Table
from rich.text import Text

from launch.output.console import console
from launch.output.trials import parameters_of, print_json, short_name
from owkd.config import TEST_METRICS, VALIDATION, Config
from owkd.formatting import format_duration, format_metric, format_value
from search.results.equal_epochs import whole_epochs
from search.results.listing import read_trial
from search.results.schema import METRIC
from search.runs.manifest import open_run
from search.space import published_point
from search.trials.view import look_in_words, stopped_at

Row = dict[str, Any]
EPOCHS_SHOWN = 20
"""of a table for people: beyond, those in the middle are left out"""


def print_trial(run: str, number: int, form: str) -> None:
    """A trial with its values, epochs and error; `json`: its row with a list `epochs`, `csv`: its epochs.

    Raises `UserError` where the run has no such trial.
    """
    row, epochs = read_trial(run, number)
    if form == "json":
        print_json({**row, "epochs": epochs})
    elif form == "csv":
        pa_csv.write_csv(pa.Table.from_pylist(epochs), pa.PythonFile(sys.stdout.buffer, mode="w"))
    else:
        config = open_run(run, only=("run.yaml",))[1]
        for part in _page(run, row, epochs, config):
            console.print(part)
        console.print(f"once more, apart from the run: owkd distill '{run}#{number}'", soft_wrap=True)


def _page(run: str, row: Row, epochs: Sequence[Row], config: Config) -> Iterator[Table | Text]:
    fixed = f", {row['fixed']}" if row["fixed"] else ""
    yield Text(f"trial {row['trial']} of {run}{fixed}{look_in_words(row['look'])}", style="bold")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="cyan")
    facts.add_column(overflow="fold")
    for name, text in _facts(row, config):
        facts.add_row(name, text)
    yield facts
    if values := parameters_of(row):
        yield _values(values, config)
    if epochs:
        yield _epochs(epochs)
    if row["error_text"]:
        yield Text("error", style="bold")
        yield Text(row["error_text"].strip())


def _facts(row: Row, config: Config) -> Iterator[tuple[str, str]]:
    whole = whole_epochs(row) or 0
    state = row["state"].replace("_", " ") + ("" if row["feasible"] else ", infeasible")
    yield "state", state + (f", by the {row['stopped_by']}" if row["stopped_by"] else "")
    if row["objective"] is not None:
        at = stopped_at(row["state"], row["last_step"], whole)
        yield config.search.leading_metric, f"{format_metric(row['objective'])}{at}"
    others = {name.removeprefix(METRIC): value for name, value in row.items() if name.startswith(METRIC)}
    for name, value in others.items():
        if name != config.search.leading_metric and value is not None:
            yield name, format_metric(value)
    if whole:
        yield "epochs", f"{row['last_step']} of {whole}, judged by epoch {row['best_step']}"
    yield "time", f"{format_duration(row['duration_s'] or 0.0)} of training{_when(row)}"
    share = f", {row['gpu_share']:g} of a GPU" if row["gpu_share"] else ""
    yield "where", f"{row['host'] or 'nowhere yet'}, attempt {row['attempt']}{share}"


def _when(row: Row) -> str:
    begun, over = row["started_at"], row["ended_at"]
    if begun is None:
        return ""
    return f", {begun:%Y-%m-%d %H:%M} UTC" + ("" if over is None else f" to {over:%Y-%m-%d %H:%M} UTC")


def _values(values: Mapping[str, Any], config: Config) -> Table:
    published = published_point(config).values
    table = Table(title="Its values", title_justify="left", title_style="bold")
    table.add_column("field", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("published", justify="right", style="dim")
    for path, value in values.items():
        usual = published.get(path)
        table.add_row(short_name(path), format_value(value), "" if usual is None else format_value(usual))
    return table


def _epochs(epochs: Sequence[Row]) -> Table:
    several = len({(row["fold"], row["seed"]) for row in epochs}) > 1
    wanted = ("loss/total", *(f"{VALIDATION}{name}" for name in TEST_METRICS))
    names = [name for name in wanted if any(row.get(name) is not None for row in epochs)]
    table = Table(title="Its epochs", title_justify="left", title_style="bold")
    for name in ("fold", "seed") if several else ():
        table.add_column(name)
    for name in ("epoch", *names, "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    half = EPOCHS_SHOWN // 2
    for place, row in enumerate(epochs):
        if len(epochs) > EPOCHS_SHOWN and half <= place < len(epochs) - half:
            if place == half:
                table.add_row(*["..."] * len(table.columns), style="dim")
            continue
        part = (row["fold"], str(row["seed"])) if several else ()
        table.add_row(
            *part, str(row["epoch"]), *(_figure(row.get(name)) for name in names), f"{row['duration_s'] or 0:.2f}"
        )
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else format_metric(value)
