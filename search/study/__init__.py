"""The Optuna study on disk, the one truth about which trials exist.

study.py            ask and tell on a journal that survives its driver
journal.py          its file: a line a record, each with a checksum
listener.py         what happens to a trial, recorded in the study
looks.py            further looks at a known point, and spaces that are used up
best_trials.py      the best so far, and the checkpoints that are kept
common_failure.py   when all trials fail alike
warm_start.py       what an earlier run teaches the sampler
"""

from search.study.study import Study
from search.study.warm_start import EarlierTrials, read_earlier

__all__ = ["EarlierTrials", "Study", "read_earlier"]
