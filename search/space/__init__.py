"""What is searched: entries of the configuration by dotted path <-> the parameters that Optuna draws.

entry.py         what is known of an entry, whatever its kind
entries.py       the kinds: one class each; a new one is a class here and its data in `owkd/config/search.py`
parameters.py    a whole space: values of a trial <-> Optuna's parameters, columns of tables, the fixed points
simplex.py       k weights <-> k - 1 numbers, no two points of which are the same
conditions.py    which entries are searched together
rules.py         what a search must hold; every mistake has a message
reading.py       configurations, checked by these rules
"""

from search.space.conditions import combinations, every_point, is_searched, parents_first
from search.space.entries import SIMPLEXES, entries, entry_of, entry_of_column
from search.space.entry import ColumnType, Entry, Space, point_key
from search.space.parameters import (
    Point,
    columns,
    describe,
    distributions,
    epochs_of,
    flatten,
    from_columns,
    most_epochs,
    nearest_point,
    no_distillation_point,
    published_point,
    resolve,
    simplex_weights,
    single,
    students,
    suggest,
)
from search.space.reading import load_search_config, parse_search_config, read_search_config
from search.space.rules import search_rules

__all__ = [
    "SIMPLEXES",
    "ColumnType",
    "Entry",
    "Point",
    "Space",
    "columns",
    "combinations",
    "describe",
    "distributions",
    "entries",
    "entry_of",
    "entry_of_column",
    "epochs_of",
    "every_point",
    "flatten",
    "from_columns",
    "is_searched",
    "load_search_config",
    "most_epochs",
    "nearest_point",
    "no_distillation_point",
    "parents_first",
    "parse_search_config",
    "point_key",
    "published_point",
    "read_search_config",
    "resolve",
    "search_rules",
    "simplex_weights",
    "single",
    "students",
    "suggest",
]
