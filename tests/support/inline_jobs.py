"""Jobs of a queue in this process, one after the other, in place of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler

from owkd.config import DataConfig
from search.execution.resources import TrialResources
from search.execution.worker import Train, work
from search.retrain.test_evaluation import CheckpointRef, Evaluate, Evaluation
from search.schedulers import ResumableScheduler
from search.trials.job import Job, Message
from search.trials.job_queue import JobQueue
from tests.support.fake_training import fake_run


def work_off(queue: JobQueue, *, train: Train = fake_run, scheduler: Any = None, **_: object) -> None:
    """Stands in for `search.execution.tune.run_jobs`."""
    while (job := queue.next_job()) is not None:
        do_job(queue, job, train, scheduler)


def work_side_by_side(
    queue: JobQueue,
    *,
    resources: TrialResources,
    scheduler: ResumableScheduler,
    train: Train = fake_run,
    epochs: int | None = None,
    **_: object,
) -> None:
    """`work_off` with several jobs at a time, an epoch of each in turn, the last begun first.

    The scheduler is asked after each epoch. After so many `epochs` of all jobs together, Ctrl-C.
    """
    out: dict[str, deque[Message]] = {}
    told = 0
    while True:
        while len(out) < resources.at_a_time and (job := queue.next_job()) is not None:
            queue.job_started(job.key)
            scheduler.on_trial_add(None, SimpleNamespace(config={"key": job.key}))
            out[job.key] = deque()
            work(asdict(job), train=train, send=out[job.key].append)
        if not out:
            return
        for key, messages in reversed(list(out.items())):
            if told == epochs:
                raise KeyboardInterrupt
            message, told = messages.popleft(), told + 1
            queue.message_received(message)
            decision = scheduler.on_trial_result(None, SimpleNamespace(config={"key": key}), asdict(message))
            if decision == TrialScheduler.STOP or not messages:
                queue.job_stopped(key, message)
                del out[key]


def do_job(queue: JobQueue, job: Job, train: Train = fake_run, scheduler: Any = None) -> list[Message]:
    """One job from its start to its end, or until the scheduler stops it -> what its worker reported."""
    sent: list[Message] = []
    trial = SimpleNamespace(config={"key": job.key}, trial_id=job.key)

    def send(message: Message) -> None:
        decision = scheduler.on_trial_result(None, trial, asdict(message)) if scheduler is not None else "CONTINUE"
        sent.append(message)
        queue.message_received(message)
        if decision == "STOP":
            raise _StoppedError

    if scheduler is not None:
        scheduler.on_trial_add(None, trial)
    queue.job_started(job.key)
    with suppress(_StoppedError):
        work(asdict(job), train=train, send=send)
    queue.job_stopped(job.key, sent[-1])
    return sent


class _StoppedError(BaseException):
    """The scheduler stopped a job."""


def evaluate_here(
    checkpoints: Mapping[str, CheckpointRef], data: DataConfig, *, evaluate: Evaluate, **_: object
) -> Iterator[tuple[str, Evaluation]]:
    """Stands in for `search.retrain.test_evaluation.evaluate_on_test`."""
    for key, ref in checkpoints.items():
        yield key, evaluate(Path(ref.checkpoint), data, fold=ref.fold, split="test")
