"""The trials of a run for people and scripts, also while the search runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from owkd.config import SearchConfig
from search.results.schema import METRIC
from search.results.tables import read_trials
from search.runs.lock import is_locked
from search.runs.manifest import open_run
from search.storage.address import Address
from search.trials.objective import front_of

PARETO = "pareto"
"""column of a run with several objectives: whether no complete trial is better in one and as good in the others"""


def list_trials(run: Address | Path | str) -> pa.Table:
    """One row a trial, best first: with several objectives the Pareto front before the rest, then what keeps every
    constraint before what does not, then by the first objective; those without a value last, by number.

    A trial that is `running` while nobody drives the run is `interrupted`: `owkd resume` continues it. Columns
    are those of the trials table, and `pareto` with several objectives. Raises `UserError` when `run` is no run.
    """
    folder, config, _ = open_run(run, only=("results",))
    table = read_trials(folder.results)
    if not is_locked(folder):
        states = table["state"]
        table = table.set_column(
            table.schema.get_field_index("state"),
            "state",
            pc.if_else(pc.equal(states, "running"), "interrupted", states),
        )
    order = [("objective", "descending"), ("trial", "ascending")]
    if config.search.constraints:
        order.insert(0, ("feasible", "descending"))
    if len(config.search.objectives) > 1:
        front = _front(config.search, table)
        at = table.schema.get_field_index("feasible")
        marks = pa.array([number in front for number in table["trial"].to_pylist()], pa.bool_())
        table = table.add_column(at, PARETO, marks)
        order.insert(0, (PARETO, "descending"))
    return table.sort_by(order)


def _front(search: SearchConfig, table: pa.Table) -> set[int]:
    rows = [row for row in table.to_pylist() if row["state"] == "complete" and row["feasible"]]
    return front_of(search, [_ordered_by(row) for row in rows])


def _ordered_by(row: dict[str, Any]) -> Any:
    """As much of a trial as its order depends on."""
    values = {name.removeprefix(METRIC): value for name, value in row.items() if name.startswith(METRIC)}
    return SimpleNamespace(number=row["trial"], objective=row["objective"], objectives=values)
