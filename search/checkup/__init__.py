"""Whether a run's files are whole, and what can be done where they are not: `owkd doctor RUN`.

examine.py    every file that a run is made of, read and compared with the study
study.py      the study as far as its journal is whole
tables.py     the tables of trials and epochs beside the study
repair.py     what can be repaired; nothing is deleted, what is replaced is set aside
"""

from search.checkup.examine import CheckedFile, examine, is_sound
from search.checkup.repair import keep_torn_journal, repair

__all__ = ["CheckedFile", "examine", "is_sound", "keep_torn_journal", "repair"]
