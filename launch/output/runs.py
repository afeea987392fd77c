"""Runs on the console: listed, shown, compared, deleted."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from launch.output.caches import print_remaining
from launch.output.confirmation import require_consent
from launch.output.console import console, print_prose
from launch.output.trials import print_json
from owkd.formatting import format_bytes, format_count, format_metric, format_value
from search.reading import RunOverview, compare_runs, delete_run, list_runs, overview, require_deletable
from search.reading.deletion import shared_caches
from search.runs.manifest import open_run
from search.storage.address import Address

ROOMY = 100
"""columns of a terminal that has room for the name of each run's data"""
STYLES = {"running": "cyan", "interrupted": "yellow", "searched": "", "finished": "green", "unreadable": "red"}


def print_runs(place: str, *, form: str) -> None:
    """The runs of a folder or a store: `table`, `json`, or `quiet`, their addresses alone."""
    runs = list_runs(place)
    if form == "json":
        print_json([run.to_dict() for run in runs])
    elif form == "quiet":
        for run in runs:
            console.print(run.address, soft_wrap=True)
    elif not runs:
        print_prose(f"{place} holds no runs; owkd search makes one there, and --runs names another place")
    else:
        console.print(_run_table(f"{format_count(len(runs), 'run')} in {place}, newest first", runs))
        for run in runs:
            if run.problem:
                print_prose(f"{run.name}: {run.problem}")


def print_run(run: str, *, as_json: bool) -> None:
    """One run. Raises `UserError` where there is none, or it cannot be read."""
    folder, config, manifest = open_run(run, only=("run.yaml",))
    found = overview(run)
    if as_json:
        print_json({**found.to_dict(), "config": config.to_dict(), "versions": manifest.get("versions", {})})
        return
    console.print(Text(found.address, style="bold"), soft_wrap=True)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True, style="cyan")
    facts.add_column(overflow="fold")
    for name, text in _facts(found, manifest):
        facts.add_row(name, text)
    console.print(facts)
    for name, purpose in _next(found, folder.address).items():
        console.print(f"  owkd {name}  # {purpose}", soft_wrap=True)


def print_comparison(runs: Sequence[str], *, as_json: bool) -> None:
    """Several runs. Raises `UserError` for less than two, and where one cannot be read."""
    comparison = compare_runs(runs)
    if as_json:
        settings = {path: list(values) for path, values in comparison.settings.items()}
        caveats = list(comparison.caveats)
        print_json({"runs": [run.to_dict() for run in comparison.runs], "settings": settings, "caveats": caveats})
        return
    console.print(_run_table(f"{len(runs)} runs", comparison.runs))
    for caveat in comparison.caveats:
        print_prose(caveat)
    if not comparison.settings:
        print_prose("Their configurations are equal.")
        return
    table = Table(title="Settings that differ", title_justify="left")
    table.add_column("field", overflow="fold")
    for run in comparison.runs:
        table.add_column(run.name, overflow="fold")
    for path, values in comparison.settings.items():
        table.add_row(path, *map(_setting, values))
    console.print(table)


def delete_runs(runs: Sequence[str], *, sure: bool) -> None:
    """Deletes runs once all of them may be, and it was confirmed. Raises `UserError` before the first otherwise."""
    for run in runs:
        require_deletable(run)
    if not sure:
        console.print(_run_table(f"{format_count(len(runs), 'run')} to be deleted", [overview(run) for run in runs]))
    require_consent("Delete for good?", sure=sure)
    remaining = {cache.folder: cache for run in runs for cache in shared_caches(require_deletable(run))}
    for run in runs:
        delete_run(run)
        console.print(f"deleted: {run}", soft_wrap=True)
    print_remaining(list(remaining.values()))


def _run_table(title: str, runs: Sequence[RunOverview]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("run", overflow="fold", min_width=8)
    table.add_column("state", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True)
    metrics = list(dict.fromkeys(run.metric for run in runs if run.metric))
    table.add_column(metrics[0] if len(metrics) == 1 else "best", justify="right", no_wrap=True)
    tested = any(run.test is not None for run in runs)
    if tested:
        table.add_column("test", justify="right", no_wrap=True)
    roomy = console.width >= ROOMY
    if roomy:
        table.add_column("data", overflow="fold")
    table.add_column("made", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for run in runs:
        name = "" if len(metrics) < 2 else f" {run.metric}"
        value = "" if run.objective is None else f"{format_metric(run.objective)}{name}"
        test = ["" if run.test is None else format_metric(run.test)] if tested else []
        data = [run.dataset or ""] if roomy else []
        cells = [f"{run.over}/{run.trials}" if run.trials else "", value, *test, *data]
        state = Text(run.state, style=STYLES[run.state])
        table.add_row(run.name, state, *cells, (run.created_at or "")[:10], format_bytes(run.bytes))
    return table


def _facts(run: RunOverview, manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "state", run.state
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(run.states.items()))
    yield "trials", f"{run.over} of {run.trials} are over" + (f": {counts}" if counts else "")
    if run.objective is not None:
        yield "best", f"trial {run.best}, {run.metric} {format_metric(run.objective)}"
    if run.test is not None:
        yield "champion", f"{run.test_metric} {format_metric(run.test)}"
    yield "data", str(run.dataset)
    versions = manifest.get("versions", {})
    made = (run.created_at or "").replace("T", " ")[:16]
    yield "made", f"{made} UTC with owkd {versions.get('owkd', 'of an unknown version')}"
    yield "size", format_bytes(run.bytes)


def _next(run: RunOverview, address: Address) -> dict[str, str]:
    quoted = shlex.quote(str(address))
    match run.state:
        case "interrupted":
            return {f"resume {quoted}": "continue", f"trials {quoted}": "every trial"}
        case "searched":
            return {f"retrain {quoted}": "the final stage", f"trials {quoted}": "every trial"}
        case _:
            return {f"trials {quoted}": "every trial", f"report {quoted}": "one page of results"}


def _setting(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_setting(own)}" for name, own in value.items() if own not in (None, {}, False))
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value))
    return format_value(value) if isinstance(value, float) else str(value)
