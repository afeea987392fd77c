"""Data sets as they are distributed -> the published folder layout: links to the very files, no image is written anew.

    arrangement  which file goes where, and whose division that is
    placing      puts the files there: resumable, deterministic
    sysu         SYSU-MM01
    regdb        RegDB, its ten published divisions
    market       Market-1501, DukeMTMC-reID and all whose file names carry identity and camera
    table        a folder of one folder a person, or a table of paths

Who is in which split is written down in `folds.json`; a second call does what is missing, and otherwise nothing.
"""

from owkd.data.preparing.arrangement import Arrangement, Modality, Placed, people_of
from owkd.data.preparing.market import arrange_market
from owkd.data.preparing.placing import Summary, place
from owkd.data.preparing.regdb import arrange_regdb
from owkd.data.preparing.sysu import Division, arrange_sysu
from owkd.data.preparing.table import arrange_folder

__all__ = [
    "Arrangement",
    "Division",
    "Modality",
    "Placed",
    "Summary",
    "arrange_folder",
    "arrange_market",
    "arrange_regdb",
    "arrange_sysu",
    "people_of",
    "place",
]
