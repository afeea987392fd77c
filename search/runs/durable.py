"""A job queue of a run in a store: what it records is in the store before anybody relies on it."""

from __future__ import annotations

from search.storage.mirror import Mirror
from search.storage.object_store import retry_while_unavailable
from search.trials.job import Job, Message
from search.trials.job_queue import JobQueue


class DurableRecorder:
    """Stands before a queue: one call at a time, and pushed before a worker starts and as soon as a job is over.

    Raises `OwkdError` when another driver took over, `OSError` when the store stays away.
    """

    def __init__(self, queue: JobQueue, mirror: Mirror) -> None:
        self._queue = queue
        self._mirror = mirror

    def next_job(self) -> Job | None:
        with self._mirror.still:
            job = self._queue.next_job()
        self._push()
        return job

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        with self._mirror.still:
            self._queue.job_started(key, gpu)

    def message_received(self, message: Message) -> None:
        with self._mirror.still:
            self._queue.message_received(message)

    def job_stopped(self, key: str, last: Message) -> None:
        with self._mirror.still:
            self._queue.job_stopped(key, last)
        self._push()

    def job_failed(self, key: str, error_text: str) -> None:
        with self._mirror.still:
            self._queue.job_failed(key, error_text)
        self._push()

    def job_interrupted(self, key: str, reason: str) -> None:
        with self._mirror.still:
            self._queue.job_interrupted(key, reason)

    def waiting(self, reason: str) -> None:
        with self._mirror.still:
            self._queue.waiting(reason)

    def _push(self) -> None:
        retry_while_unavailable(self._mirror.push, self._mirror.timings)
