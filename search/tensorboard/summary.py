"""The search as a whole in TensorBoard: one run named `search` beside those of the trials.

    best_so_far            best objective of the complete trials
    trials/<state>         how many are running, complete, pruned, ...
    slots/in_use           trials that run at the moment; slots/share_in_use as a share of those that fit

The step counts trials that are over; TensorBoard's wall-clock axis shows the same curves over time. A search that is
resumed gets a fresh file, written from the study, so that nothing is in it twice.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from search.tensorboard.event_file import EventFile
from search.trials.listener import ActiveTrial, JobListener
from search.trials.states import STATES, State
from search.trials.view import Ending, TrialView

NAME = "search"


@dataclass(frozen=True)
class EndedTrial:
    """A trial that is over."""

    state: State
    at: datetime
    objective: float | None

    @classmethod
    def of(cls, view: TrialView) -> EndedTrial:
        """Of a trial that is over, as the study knows it."""
        assert view.ended_at is not None
        return cls(view.state, view.ended_at, view.objective)


class SearchEventFile(JobListener[ActiveTrial]):
    """Writes the run `search`."""

    def __init__(self, tensorboard: Path, mode: str, past: Iterable[EndedTrial], slots: int) -> None:
        folder = tensorboard / NAME
        shutil.rmtree(folder, ignore_errors=True)
        self._events = EventFile(folder)
        self._better = max if mode == "max" else min
        self._slots = slots
        self._counts: Counter[State] = Counter()
        self._running: set[str] = set()
        self._best: float | None = None
        for ended in sorted(past, key=lambda ended: ended.at):
            self._count(ended)
            self._write(ended.at.timestamp(), {})
        self._events.flush()

    def job_started(self, job: ActiveTrial) -> None:
        self.start_trial(job.key)

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        self.end_trial(job.key, EndedTrial.of(job.view))

    def start_trial(self, key: str) -> None:
        """A trial takes a slot; one that starts again has it already."""
        self._running.add(key)
        self._write(time.time(), self._use())
        self._events.flush()

    def end_trial(self, key: str, ended: EndedTrial) -> None:
        """A trial is over and leaves its slot."""
        self._running.discard(key)
        self._count(ended)
        self._write(ended.at.timestamp(), self._use())
        self._events.flush()

    def close(self) -> None:
        """Closes the file."""
        self._events.close()

    def _count(self, ended: EndedTrial) -> None:
        self._counts[ended.state] += 1
        if ended.state == "complete" and ended.objective is not None:
            self._best = ended.objective if self._best is None else self._better(self._best, ended.objective)

    def _use(self) -> dict[str, float]:
        in_use = len(self._running)
        return {"slots/in_use": in_use, "slots/share_in_use": in_use / max(self._slots, 1)}

    def _write(self, at: float, use: dict[str, float]) -> None:
        scalars = {f"trials/{state}": float(self._counts[state]) for state in STATES if state != "running"}
        scalars |= {"trials/running": float(len(self._running)), **use}
        if self._best is not None:
            scalars["best_so_far"] = self._best
        self._events.add_scalars(scalars, sum(self._counts.values()), at)
