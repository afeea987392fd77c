"""A run for whoever reads it.

run.py    as an object: tables, study, champion
"""

from search.reading.run import Run

__all__ = ["Run"]
