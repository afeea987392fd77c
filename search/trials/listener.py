"""What happens to a job while it is out, as typed events, and who is informed of it.

A queue (`search.trials.job_queue`) makes events of what it is called with and passes each to its listeners, one after
the other, in the order in which they stand. A trial of the search and a model of the final stage are both jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from search.trials.job import Message, Part
from search.trials.objective import Score
from search.trials.view import Ending, Proposal, StoppedBy, TrialView


@dataclass
class ActiveJob:
    """A job that was handed out by this driver and is not over.

    Attributes:
        name: for people
        about: its parameters, for people
        epochs: over all parts
        gpu: share of a GPU of this attempt
        crash: of the last attempt that raised
        objective: what it is worth, once it is over
        stopped_at: what must be said beside it, where it is not over all epochs
        stop_reason: why no further epoch is worth its time
    """

    key: str
    name: str
    about: str
    epochs: int
    attempt: int = 0
    gpu: float = 0.0
    crash: Message | None = None
    objective: float | None = None
    stopped_at: str = ""
    stop_reason: str = ""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one part of a job, as it is recorded.

    Attributes:
        epoch: 1-based, within its part
        step: epochs over all parts
        objective: what the scheduler compares
        best: what the job is worth if it ends here
        sent_at: seconds since the Unix epoch, on the worker
        is_new: false where a worker that started again reports an epoch that is recorded already
        note: what people must know of it, such as why its training started anew
    """

    fold: str
    seed: int
    epoch: int
    step: int
    objective: float
    best: float
    metrics: Mapping[str, float]
    sent_at: float
    host: str = ""
    score: Score | None = None
    is_new: bool = True
    note: str = ""

    @classmethod
    def of(cls, message: Message, best: float, *, is_new: bool) -> EpochRecord:
        """What a worker reported."""
        return cls(
            message.fold,
            message.seed,
            message.epoch,
            message.step,
            message.objective,
            best,
            dict(message.metrics),
            message.sent_at,
            message.host,
            message.score,
            is_new,
            message.note,
        )


@dataclass
class ActiveTrial(ActiveJob):
    """A trial of the search that was handed out and is not over.

    Attributes:
        view: as the study has it; its listener renews it
        recorded: the epochs that were recorded when this attempt began
        curve: what the scheduler compares, by step
        stopped_by: what gave it up, unless it was its scheduler
    """

    proposal: Proposal = field(kw_only=True)
    parts: tuple[Part, ...] = field(kw_only=True)
    part_epochs: int = field(kw_only=True)
    view: TrialView = field(kw_only=True)
    recorded: tuple[EpochRecord, ...] = ()
    curve: dict[int, float] = field(default_factory=dict)
    stopped_by: StoppedBy | None = None

    _epochs: set[tuple[str, int, int]] = field(default_factory=set)
    """fold, seed and number of each that is recorded"""

    @property
    def number(self) -> int:
        return self.proposal.number

    def begin(self, recorded: Iterable[EpochRecord]) -> None:
        """Another attempt begins, with these epochs recorded already."""
        self.recorded, self.curve, self._epochs = tuple(recorded), {}, set()
        for epoch in self.recorded:
            self.add(epoch)

    def add(self, epoch: EpochRecord) -> None:
        """An epoch is recorded; one that is reported again changes nothing."""
        if epoch.is_new:
            self.curve[epoch.step] = epoch.objective
            self._epochs.add((epoch.fold, epoch.seed, epoch.epoch))

    def has_recorded(self, message: Message) -> bool:
        """Whether the epoch that a worker reports is recorded already."""
        return (message.fold, message.seed, message.epoch) in self._epochs


JobT = TypeVar("JobT", bound=ActiveJob, contravariant=True)


class JobListener(Generic[JobT]):
    """Is informed of what happens to jobs; each method does nothing unless a listener overrides it."""

    def job_started(self, job: JobT) -> None:
        """Another attempt begins."""

    def epoch_recorded(self, job: JobT, epoch: EpochRecord) -> None:
        """An epoch was trained, or is reported again."""

    def job_crashed(self, job: JobT, message: Message) -> None:
        """An attempt raised; another one follows if it may."""

    def job_ended(self, job: JobT, ending: Ending) -> None:
        """A job is over."""

    def job_interrupted(self, job: JobT, reason: str) -> None:
        """A job lost its worker through no fault of its own, and will be started again."""

    def waiting(self, reason: str) -> None:
        """Jobs are there, but no worker has been at work for a while."""

    def close(self) -> None:
        """The driver is through; jobs that are not over stay as they are."""


TrialListener = JobListener[ActiveTrial]


class Listeners(JobListener[JobT]):
    """Several listeners as one: each event goes to the first, then to the next."""

    def __init__(self, *listeners: JobListener[JobT]) -> None:
        self._listeners = list(listeners)

    def append(self, *listeners: JobListener[JobT]) -> None:
        """Listeners that are informed after all others, from now on."""
        self._listeners.extend(listeners)

    def __iter__(self) -> Iterator[JobListener[JobT]]:
        return iter(self._listeners)

    def job_started(self, job: JobT) -> None:
        for listener in self._listeners:
            listener.job_started(job)

    def epoch_recorded(self, job: JobT, epoch: EpochRecord) -> None:
        for listener in self._listeners:
            listener.epoch_recorded(job, epoch)

    def job_crashed(self, job: JobT, message: Message) -> None:
        for listener in self._listeners:
            listener.job_crashed(job, message)

    def job_ended(self, job: JobT, ending: Ending) -> None:
        for listener in self._listeners:
            listener.job_ended(job, ending)

    def job_interrupted(self, job: JobT, reason: str) -> None:
        for listener in self._listeners:
            listener.job_interrupted(job, reason)

    def waiting(self, reason: str) -> None:
        for listener in self._listeners:
            listener.waiting(reason)

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
