"""Results as Parquet, for people and programs.

tables.py     the tables of a run: one row a trial, one row an epoch
parquet.py    one table as few and large files, whole at every moment
listing.py    the trials of a run, best first
"""

from search.results.listing import PARETO, list_trials
from search.results.tables import METRIC, PARAM, Row, Store, read_epochs, read_table, read_trials, write_table

__all__ = [
    "METRIC",
    "PARAM",
    "PARETO",
    "Row",
    "Store",
    "list_trials",
    "read_epochs",
    "read_table",
    "read_trials",
    "write_table",
]
