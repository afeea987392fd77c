"""The trials of a run for people and scripts, also while the search runs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from search.folder import is_driven, open_run
from search.store import read_trials


def list_trials(run: Path) -> pa.Table:
    """One row a trial, best first; those without a value last, by number.

    A trial that is `running` while nobody drives the run is `interrupted`: `owkd resume` goes on with it. Columns
    are those of the trials table. Raises `UserError` when `run` is no run.
    """
    folder, _, _ = open_run(run)
    table = read_trials(folder.results)
    if not is_driven(folder):
        states = table["state"]
        table = table.set_column(
            table.schema.get_field_index("state"),
            "state",
            pc.if_else(pc.equal(states, "running"), "interrupted", states),
        )
    return table.sort_by([("objective", "descending"), ("trial", "ascending")])
