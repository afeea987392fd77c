"""Runs for whoever reads them, or is done with them.

run.py          one as an object: tables, study, champion
overview.py     the runs of a folder or a store, in a row each
comparison.py   several beside each other
deletion.py     one deleted, with what remains named
"""

from search.reading.comparison import RunsComparison, compare_runs
from search.reading.deletion import delete_run, require_deletable, shared_caches
from search.reading.overview import RunOverview, list_runs, overview
from search.reading.run import Run

__all__ = [
    "Run",
    "RunOverview",
    "RunsComparison",
    "compare_runs",
    "delete_run",
    "list_runs",
    "overview",
    "require_deletable",
    "shared_caches",
]
