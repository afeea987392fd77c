"""The trials of a run for people and scripts, also while the search runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from owkd.config import Config, SearchConfig
from owkd.errors import UserError
from search.luck.noise import Noise, noise_of
from search.results.schema import METRIC, PARAM, PART, TRIAL_FIELDS, Row
from search.results.tables import read_epochs, read_trials
from search.runs.damage import DamagedRunError
from search.runs.lock import is_locked
from search.runs.manifest import open_run
from search.space.parameters import epochs_of
from search.storage.address import Address
from search.trials.job import parts_of
from search.trials.objective import front_of, listed_by
from search.trials.view import NO_DISTILLATION_NAME

PARETO = "pareto"
"""column of a run with several objectives: whether no complete trial is better in one and as good in the others"""


def list_trials(run: Address | Path | str) -> pa.Table:
    """One row a trial, best first: with several objectives the Pareto front before the rest, then what keeps every
    constraint before what does not; then complete trials by the first objective, and after them all that are not, the
    furthest first: a figure over fewer parts or epochs is never ranked among figures over more.

    A trial that is `running` while nobody drives the run is `interrupted`: `owkd resume` continues it. Columns
    are those of the trials table, and `pareto` with several objectives. Raises `UserError` when `run` is no run.
    """
    folder, config, _ = open_run(run, only=("results",))
    table = read_trials(folder.results)
    rows = table.to_pylist()
    if not rows and (any(folder.tensorboard.glob("trial-*")) or any((folder.results / "epochs").glob("*.parquet"))):
        raise DamagedRunError(folder.results / "trials", "is missing, although trials have left results")
    several = len(config.search.objectives) > 1
    front = _front(config.search, rows) if several else set()
    driven = is_locked(folder)
    for row in rows:
        if row["state"] == "running" and not driven:
            row["state"] = "interrupted"
        if several:
            row[PARETO] = row["trial"] in front
        _add_what_old_runs_lack(config, row)
    rows.sort(key=lambda row: _place(config.search, row))
    return pa.Table.from_pylist(rows, schema=_schema(table.schema, several))


def read_trial(run: Address | Path | str, number: int) -> tuple[Row, list[Row]]:
    """A trial's row, as `list_trials` has it, and rows of its epochs by step. Raises `UserError` where it has none."""
    rows = list_trials(run).to_pylist()
    found = next((row for row in rows if row["trial"] == number), None)
    if found is None:
        known = f"0 to {max(row['trial'] for row in rows)}" if rows else "none yet"
        raise UserError(f"a trial must be one of {run} ({known}), but got {number}; owkd trials {run} lists them")
    epochs = read_epochs(open_run(run, only=("results",))[0].results)
    return found, epochs.filter(pc.equal(epochs["trial"], number)).to_pylist()


def noise_of_run(trials: Iterable[Row]) -> Noise | None:
    """The luck of one training, from rows of `list_trials`; None where it cannot be told."""
    complete = [row for row in trials if row["state"] == "complete"]
    parts = [[row[name] for name in row if name.startswith(PART)] for row in complete]
    whole = [(own, row) for own, row in zip(parts, complete, strict=True) if own and None not in own]
    return noise_of([own for own, _ in whole], [_point(row) for _, row in whole])


def _point(row: Row) -> tuple[Any, ...]:
    """What tells its setting from others; what training without distillation is, no parameter says."""
    return row["fixed"] == NO_DISTILLATION_NAME, *(row[name] for name in row if name.startswith(PARAM))


def _place(search: SearchConfig, row: Row) -> tuple[Any, ...]:
    infeasible = bool(search.constraints) and not row["feasible"]
    listed = listed_by(row["state"], row["parts_trained"], row["objective"])
    return not row.get(PARETO, False), infeasible, *listed, row["trial"]


def _add_what_old_runs_lack(config: Config, row: Row) -> None:
    """What 0.1.0 had no column for."""
    if row.get("parts_trained") is None:
        epochs = row.get(f"{PARAM}train.epochs")
        part_epochs = epochs_of(config, {} if epochs is None else {"train.epochs": epochs})
        row |= {"look": 1, "parts": len(parts_of(config)), "parts_trained": (row["last_step"] or 0) / part_epochs}


def _schema(stored: pa.Schema, several: bool) -> pa.Schema:
    """The fixed columns in their order, `pareto` among them, then what the table has besides."""
    fixed = dict(TRIAL_FIELDS)
    if several:
        names = list(fixed)
        names.insert(names.index("feasible"), PARETO)
        fixed = {name: fixed.get(name, pa.bool_()) for name in names}
    return pa.schema([*fixed.items(), *(field for field in stored if field.name not in fixed)])


def _front(search: SearchConfig, rows: Iterable[Row]) -> set[int]:
    complete = (row for row in rows if row["state"] == "complete" and row["feasible"])
    return front_of(search, [_ordered_by(row) for row in complete])


def _ordered_by(row: Row) -> Any:
    """As much of a trial as its order depends on."""
    values = {name.removeprefix(METRIC): value for name, value in row.items() if name.startswith(METRIC)}
    return SimpleNamespace(number=row["trial"], objective=row["objective"], objectives=values)
