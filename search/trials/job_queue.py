"""What hands out jobs, and is informed of everything that happens to them; the driver calls it from one thread."""

from __future__ import annotations

from typing import Protocol

from owkd.interruption import uninterrupted
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


class WholeCalls:
    """Stands before a queue: a signal that arrives during a call waits until the call has recorded all of it."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def next_job(self) -> Job | None:
        with uninterrupted():
            return self._queue.next_job()

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        with uninterrupted():
            self._queue.job_started(key, gpu)

    def message_received(self, message: Message) -> None:
        with uninterrupted():
            self._queue.message_received(message)

    def job_stopped(self, key: str, last: Message) -> None:
        with uninterrupted():
            self._queue.job_stopped(key, last)

    def job_failed(self, key: str, error_text: str) -> None:
        with uninterrupted():
            self._queue.job_failed(key, error_text)

    def job_interrupted(self, key: str, reason: str) -> None:
        with uninterrupted():
            self._queue.job_interrupted(key, reason)

    def waiting(self, reason: str) -> None:
        with uninterrupted():
            self._queue.waiting(reason)
