"""What hands out jobs, and is informed of everything that happens to them; the driver calls it from one thread."""

from __future__ import annotations

from typing import Protocol

from search.trials.job import Job, Message


class JobQueue(Protocol):
    """Hands out jobs and records what becomes of them."""

    def next_job(self) -> Job | None:
        """The next job; None when there is none at the moment. When no job is out, that is the end."""
        ...

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        """A worker starts (or restarts) a job on this share of a GPU."""
        ...

    def message_received(self, message: Message) -> None:
        """A message of a job, `crashed` ones included."""
        ...

    def job_stopped(self, key: str, last: Message) -> None:
        """A job is over; the state of its last message is `running` when the scheduler stopped it."""
        ...

    def job_failed(self, key: str, error_text: str) -> None:
        """A job is over because it failed more often than allowed."""
        ...

    def job_interrupted(self, key: str, reason: str) -> None:
        """A job lost its worker through no fault of its own, and will be started again."""
        ...

    def waiting(self, reason: str) -> None:
        """Jobs are there, but no worker has been at work for a while."""
        ...
