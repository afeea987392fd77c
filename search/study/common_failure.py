"""When a search is given up: all of its trials fail in the same way, and more of them would not cure it."""

from __future__ import annotations

from search.trials.listener import ActiveTrial, JobListener
from search.trials.states import FAILED
from search.trials.view import Ending, TrialView

ALIKE = 3
"""so many failures alike, and nothing else, are one cause"""

REASON_LINES = 12
"""of an error text; the last lines of a traceback say most"""


class CommonFailure(JobListener[ActiveTrial]):
    """Counts failures until the first trial that is none."""

    def __init__(self) -> None:
        self._failures: list[TrialView] = []
        self._successes = 0

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        if job.view.state not in FAILED:
            self._successes += 1
        elif not self._successes:  # what failed matters as long as nothing else is known
            self._failures.append(job.view)

    def reason(self) -> str | None:
        """What all trials of this driver failed of; None when there is hope."""
        alike = {(view.state, view.error_type) for view in self._failures}
        if self._successes or len(self._failures) < ALIKE or len(alike) > 1:
            return None
        lines = (self._failures[-1].error_text or self._failures[-1].state).splitlines()
        return "\n".join(lines[-REASON_LINES:])
