"""Jobs of a queue in this process, one after the other, in place of Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from owkd.config import DataConfig
from search.execution.worker import Train, work
from search.retrain.test_evaluation import CheckpointRef, Evaluate, Evaluation
from search.trials.job import Job, Message
from search.trials.job_queue import JobQueue
from tests.support.fake_training import fake_run


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


def evaluate_here(
    checkpoints: Mapping[str, CheckpointRef], data: DataConfig, *, evaluate: Evaluate, **_: object
) -> Iterator[tuple[str, Evaluation]]:
    """Stands in for `search.retrain.test_evaluation.evaluate_on_test`."""
    for key, ref in checkpoints.items():
        yield key, evaluate(Path(ref.checkpoint), data, fold=ref.fold, split="test")
