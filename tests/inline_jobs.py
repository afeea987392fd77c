"""Jobs of a queue in this process, one after the other, in place of Ray."""

from __future__ import annotations

from dataclasses import asdict

from fake_training import fake_run

from search.execution.worker import Train, work
from search.trials.job import Job, Message
from search.trials.job_queue import JobQueue


def work_off(queue: JobQueue, *, train: Train = fake_run, **_: object) -> None:
    """Stands in for `search.execution.tune.run_jobs`."""
    while (job := queue.next_job()) is not None:
        do_job(queue, job, train)


def do_job(queue: JobQueue, job: Job, train: Train = fake_run) -> list[Message]:
    """One job from its start to its end -> what its worker reported."""
    sent: list[Message] = []

    def send(message: Message) -> None:
        sent.append(message)
        queue.message_received(message)

    queue.job_started(job.key)
    work(asdict(job), train=train, send=send)
    queue.job_stopped(job.key, sent[-1])
    return sent
