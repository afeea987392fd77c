"""What is searched: entries of the configuration by dotted path <-> the parameters that Optuna draws.

entry.py         what is known of an entry, whatever its kind
entries.py       the kinds: one class each; a new one is a class here and its data in `owkd/config/search.py`
parameters.py    a whole space: values of a trial <-> Optuna's parameters, columns of tables, the published point
simplex.py       k weights <-> k - 1 numbers, no two points of which are the same
coordinates.py   a space in such numbers, for samplers that measure distances
"""

from search.space.coordinates import Coordinates
from search.space.entries import SIMPLEXES, entries, entry_of, entry_of_column
from search.space.entry import ColumnType, Entry, Space
from search.space.parameters import (
    Point,
    columns,
    describe,
    distributions,
    flatten,
    from_columns,
    nearest_point,
    published_point,
    resolve,
    single,
    students,
    suggest,
)

__all__ = [
    "SIMPLEXES",
    "ColumnType",
    "Coordinates",
    "Entry",
    "Point",
    "Space",
    "columns",
    "describe",
    "distributions",
    "entries",
    "entry_of",
    "entry_of_column",
    "flatten",
    "from_columns",
    "nearest_point",
    "published_point",
    "resolve",
    "single",
    "students",
    "suggest",
]
