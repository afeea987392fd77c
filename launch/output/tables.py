"""Results on the console: the trials of a run, and the evaluation of one checkpoint."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
from rich.table import Table

from launch.output.console import console
from owkd.config import SIMPLEXES, DataConfig
from owkd.data.index import SplitName
from owkd.evaluation.evaluate import evaluate_checkpoint
from owkd.evaluation.protocol import Protocol
from owkd.evaluation.query_table import write_queries
from search.results.listing import PARETO, list_trials
from search.results.schema import METRIC, PARAM

CMC_RANKS = (1, 5, 10, 20)


def print_trials(run: str, form: str) -> None:
    """Lists the trials of a run, best first: `table` for people; `csv` and `json` hold every column."""
    trials = list_trials(run)
    if form == "csv":
        pa_csv.write_csv(trials, pa.PythonFile(sys.stdout.buffer, mode="w"))
    elif form == "json":
        json.dump(trials.to_pylist(), sys.stdout, default=_plain, indent=1)
        sys.stdout.write("\n")
    else:
        console.print(_trial_table(run, trials.to_pylist()))


def print_evaluation(
    checkpoint: Path, dataset: Path, fold: str, split: SplitName, protocol: Protocol, queries: Path | None = None
) -> None:
    """Embeds a split and prints mAP, CMC and mINP; writes `query_rows` to the file `queries`, where one is named.

    Raises `DataError`, `CheckpointError`.
    """
    data = DataConfig(root=dataset.parent, dataset=dataset.name)
    result, parameters = evaluate_checkpoint(checkpoint, data, fold=fold, split=split, protocol=protocol)
    console.print(f"{checkpoint} on {dataset.name}/{fold}/{split}, {protocol} protocol", soft_wrap=True)
    table = Table()
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_row("mAP", f"{result.mean_average_precision:.4f}")
    for rank in CMC_RANKS:
        table.add_row(f"rank-{rank}", f"{result.cmc[rank - 1]:.4f}")
    table.add_row("mINP", f"{result.mean_inverse_negative_penalty:.4f}")
    table.add_row("queries", str(result.queries))
    table.add_row("queries without a match", str(result.skipped))
    table.add_row("parameters", f"{parameters:,}")
    console.print(table)
    if queries is not None:
        write_queries(result, queries)
        console.print(f"{result.queries} queries: {queries}", soft_wrap=True)


def _trial_table(run: str, rows: list[dict[str, Any]]) -> Table:
    front = any(PARETO in row for row in rows)
    caption = "* on the Pareto front: no trial is better in one objective and as good in the others" if front else None
    table = Table(title=f"{len(rows)} trials of {run}, best first", caption=caption)
    metrics = [name for name in (rows[0] if rows else ()) if name.startswith(METRIC)] or ["objective"]
    shown = ["objective"] if len(metrics) == 1 else [name.removeprefix(METRIC) for name in metrics]
    for name in ("trial", "state", *shown, "step"):
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    table.add_column("parameters", overflow="fold")
    for row in rows:
        number = f"* {row['trial']}" if row.get(PARETO) else str(row["trial"])
        state = row["state"] if row["feasible"] else f"{row['state']}, infeasible"
        values = ["" if row[name] is None else _figure(row[name]) for name in metrics]
        parameters = "published setting" if row["published"] else row["error_text"] or _parameters(row)
        step = "" if row["best_step"] is None else f"{row['best_step']}/{row['last_step']}"
        table.add_row(number, state, *values, step, parameters)
    return table


def _figure(value: float) -> str:
    """A share of 1 with four decimals, a count in full, anything else with four digits."""
    if value >= 1000 and value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4f}" if value < 1 else f"{value:.4g}"


def _parameters(row: dict[str, Any]) -> str:
    """Short names; the weights of a simplex as one group, in the order of its fields."""
    shown: dict[str, list[str]] = {}
    for column, value in row.items():
        path = column.removeprefix(PARAM)
        if path == column or value is None:
            continue
        parent = path.rpartition(".")[0]
        name = (parent if parent in SIMPLEXES else path).removeprefix("distill.")
        shown.setdefault(name, []).append(_short(value, ".2f" if parent in SIMPLEXES else ".3g"))
    return ", ".join(f"{name} {'/'.join(values)}" for name, values in shown.items())


def _short(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, float) else str(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no plain form for {type(value).__name__}")
