"""Results as Parquet, for people and programs.

schema.py         columns and their types
tables.py         the tables of a run: one row a trial, one row an epoch
listener.py       what happens to a trial, recorded in the tables
parquet.py        one table as few and large files, whole at every moment
listing.py        the trials of a run, best first
selection.py      some of them, in another order
equal_epochs.py   the best trial after as many epochs as a stopped one
"""

from search.results.listing import PARETO, list_trials, read_trial
from search.results.parquet import read_table, write_table
from search.results.schema import METRIC, PARAM, Row
from search.results.selection import select_trials
from search.results.tables import ResultTables, read_epochs, read_trials

__all__ = [
    "METRIC",
    "PARAM",
    "PARETO",
    "ResultTables",
    "Row",
    "list_trials",
    "read_epochs",
    "read_table",
    "read_trial",
    "read_trials",
    "select_trials",
    "write_table",
]
