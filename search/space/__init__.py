"""What is searched: entries of the configuration by dotted path <-> the parameters that Optuna draws.

parameters.py    values of a trial <-> Optuna's parameters, columns of tables, the published point
simplex.py       a simplex as k - 1 coordinates, for samplers that measure distances
"""

from search.space.parameters import (
    ColumnType,
    Point,
    Space,
    columns,
    describe,
    distributions,
    flatten,
    nearest,
    nearest_point,
    published_point,
    resolve,
    single,
    students,
    suggest,
)
from search.space.simplex import Coordinates

__all__ = [
    "ColumnType",
    "Coordinates",
    "Point",
    "Space",
    "columns",
    "describe",
    "distributions",
    "flatten",
    "nearest",
    "nearest_point",
    "published_point",
    "resolve",
    "single",
    "students",
    "suggest",
]
