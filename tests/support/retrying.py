"""A queue, nodes and a clock for `RetryPolicy`, without Ray."""

from __future__ import annotations

import math

from search.trials.job import Job, Message, Part, ReportState


def job(number: int, gpu: float | None = None) -> Job:
    return Job(f"job-{number}", {}, (Part("Fold1", 0),), "work", gpu)


def last(key: str, state: ReportState) -> Message:
    return Message(key, state, 1, math.nan, "Fold1", 0, 0, (), False, 0.0, "node")


class Recorder:
    """A queue that hands out what it is given and remembers what it is informed of."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = list(jobs)
        self.events: list[tuple] = []

    def next_job(self) -> Job | None:
        return self.jobs.pop(0) if self.jobs else None

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        self.events.append(("started", key, gpu))

    def message_received(self, message: Message) -> None: ...

    def job_stopped(self, key: str, last: Message) -> None:
        self.events.append(("stopped", key, last.state))

    def job_failed(self, key: str, error_text: str) -> None:
        self.events.append(("failed", key, error_text))

    def job_interrupted(self, key: str, reason: str) -> None:
        self.events.append(("interrupted", key))

    def waiting(self, reason: str) -> None:
        self.events.append(("waiting", reason))


class FakeNodes:
    """Nodes by name, with the slots of each; `worker on b` runs on node b."""

    def __init__(self, **slots: int) -> None:
        self.by_name = dict(slots)

    def slots(self, without=()) -> int:
        return sum(slots for name, slots in self.by_name.items() if name not in without)

    def living(self) -> set[str]:
        return set(self.by_name)

    def of_worker(self, worker: str) -> str | None:
        return worker.rpartition(" on ")[2] if " on " in worker else None

    def name(self, node: str) -> str:
        return f"node {node}"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now
