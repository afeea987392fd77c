"""What stops a trial before its last epoch: Ray's rules, which also know what trials of earlier drivers reported.

| name      | a trial stops when                                                                   | file           |
|-----------|--------------------------------------------------------------------------------------|----------------|
| asha      | at a rung it is not among the best 1/reduction_factor of those that reached the rung | `asha.py`      |
| hyperband | the same, in several brackets with later and later first rungs                       | `hyperband.py` |
| median    | its best epoch is below the median of the other trials' running means                | `median.py`    |
| none      | never                                                                                | `selection.py` |

`reports.py` names what they read, `resumable.py` is what makes any of them remember, `asha_savings.py` estimates what
ASHA saves. A new one is a file here and a line in `SCHEDULERS` (`selection.py`).
"""

from search.schedulers.asha_savings import expected_epochs, expected_steps
from search.schedulers.resumable import ResumableScheduler, Verdict
from search.schedulers.selection import SCHEDULERS, SchedulerKind, describe_scheduler, make_scheduler

__all__ = [
    "SCHEDULERS",
    "ResumableScheduler",
    "SchedulerKind",
    "Verdict",
    "describe_scheduler",
    "expected_epochs",
    "expected_steps",
    "make_scheduler",
]
