"""Attempts at jobs: how many are out, and what follows when one fails.

| what happened                                     | counts against `search.max_failures` | what follows            |
|---------------------------------------------------|--------------------------------------|-------------------------|
| an exception; a worker that died on a living node | yes                                  | again, or it is over    |
| a node that was lost or preempted                 | no                                   | again, wherever it fits |
| a node that joined late and cannot serve          | no                                   | again, not on that node |
| GPU memory exhausted on a share of a GPU          | no                                   | once on twice the share |

Every attempt is a trial of its own to Ray Tune, which restarts nothing by itself. Jobs are asked of the queue only
when a slot is free for them on the nodes that live at that moment: a node that joins gets jobs, and no proposal is
drawn long before it can run.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

from search.execution.node_admission import UNFIT
from search.execution.resources import TrialResources
from search.trials.job import Job, Message
from search.trials.job_queue import JobQueue


@dataclass(frozen=True)
class RetryTimings:
    """Seconds.

    Attributes:
        undecided_s: a worker that died may be the first sign of a lost node, which Ray takes 15 s to be sure of
        look_s: between looks at the cluster's nodes
        patience_s: without any worker at work before people read that the search waits
    """

    undecided_s: float = 30.0
    look_s: float = 2.0
    patience_s: float = 30.0


RETRY_TIMINGS = RetryTimings()


class Nodes(Protocol):
    """The cluster as it is now."""

    def slots(self, without: Collection[str] = ()) -> int:
        """How many jobs fit at a time, `without` some nodes."""
        ...

    def living(self) -> Collection[str]:
        """Ids of the nodes that live."""
        ...

    def of_worker(self, worker: str) -> str | None:
        """Id of the node that a worker runs or ran on, by the worker's actor id."""
        ...


@dataclass(frozen=True)
class _Undecided:
    """A worker that died, on a node of which Ray does not yet say whether it lives."""

    job: Job
    node: str | None
    error_text: str
    until: float


class RetryPolicy:
    """The jobs that are out, those that go out again, and those of which nobody knows yet.

    Attributes:
        over: the queue had no job left when none was out
        excluded_nodes: ids of nodes that cannot serve
        healthy_nodes: ids of nodes on which something trained
    """

    def __init__(
        self,
        queue: JobQueue,
        resources: TrialResources,
        max_failures: int,
        nodes: Nodes,
        timings: RetryTimings = RETRY_TIMINGS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.over = False
        self.excluded_nodes: set[str] = set()
        self.healthy_nodes: set[str] = set()
        self._queue = queue
        self._resources = resources
        self._max_failures = max_failures
        self._nodes = nodes
        self._timings = timings
        self._clock = clock
        self._out: dict[str, Job] = {}
        self._workers: dict[str, str] = {}
        self._again: deque[Job] = deque()
        self._undecided: list[_Undecided] = []
        self._failures: Counter[str] = Counter()
        self._slots = nodes.slots()
        self._looked = self._idle_since = clock()
        self._reason = ""

    def next(self) -> Job | None:
        """The job that goes out now; None when there is none, or no room for it."""
        self.settle()
        if self._taken() >= self._slots:
            return None
        job = self._again.popleft() if self._again else self._new()
        if job is None:
            self.over = not self._out and not self._undecided
            return None
        self._out[job.key] = job
        return job

    def settle(self) -> None:
        """Looks at the cluster from time to time, and acts on what is certain by now."""
        now = self._clock()
        if now - self._looked >= self._timings.look_s:
            self._looked = now
            self._slots = self._nodes.slots(self.excluded_nodes)
            undecided, self._undecided = self._undecided, []
            for died in undecided:
                self._decide(died)
        if not self._workers and now - self._idle_since >= self._timings.patience_s:
            one = self._resources.describe_one()
            reason = "none is free" if self._slots else f"no node holds a trial ({one}) now"
            if reason != self._reason:
                self._reason = reason
                self._queue.waiting(reason)

    def started(self, key: str, worker: str) -> None:
        """A worker (its actor id) takes up a job."""
        self._workers[key] = worker
        self._reason = ""
        self._queue.job_started(key, self._out[key].gpu or self._resources.gpu)

    def mark_healthy(self, key: str) -> None:
        """A job reported an epoch: its node serves."""
        node = self._nodes.of_worker(self._workers[key])
        if node is not None:
            self.healthy_nodes.add(node)

    def ended(self, key: str, last: Message | None) -> None:
        """A worker is through with a job, by itself or because the scheduler stopped it."""
        worker = self._workers.get(key)
        job = self._take_back(key)
        if last is None:
            self._failed(job, "the worker ended without a report")
        elif last.state == UNFIT:
            self._leave_out(job, worker, last.error_text or "")
        elif last.state == "out_of_memory" and 0 < self._resources.gpu < 1 and job.gpu is None:
            self._again.append(replace(job, gpu=min(1.0, 2 * self._resources.gpu)))
        else:
            self._failures.pop(key, None)
            self._queue.job_stopped(key, last)

    def failed(self, key: str, error_text: str) -> None:
        """A job raised an exception."""
        self._failed(self._take_back(key), error_text)

    def worker_died(self, key: str, error_text: str, *, preempted: bool = False) -> None:
        """The worker of a job died: with its node, or on its own."""
        worker = self._workers.get(key)
        node = self._nodes.of_worker(worker) if worker else None
        job = self._take_back(key)
        if preempted:
            self._lost_node(job)
        else:
            self._decide(_Undecided(job, node, error_text, self._clock() + self._timings.undecided_s))

    def _decide(self, died: _Undecided) -> None:
        if died.node is not None and died.node not in self._nodes.living():
            self._lost_node(died.job)
        elif self._clock() >= died.until or died.node is None:
            self._failed(died.job, died.error_text)
        else:
            self._undecided.append(died)

    def _leave_out(self, job: Job, worker: str | None, reason: str) -> None:
        node = self._nodes.of_worker(worker) if worker else None
        if node is not None:
            self.excluded_nodes.add(node)
            self._slots = self._nodes.slots(self.excluded_nodes)
        self._queue.job_interrupted(
            job.key, f"its node is left out until it is mended and its Ray started again: {reason}"
        )
        self._again.append(job)

    def _lost_node(self, job: Job) -> None:
        self._queue.job_interrupted(job.key, "its node is gone")
        self._again.append(job)

    def _failed(self, job: Job, error_text: str) -> None:
        self._failures[job.key] += 1
        if self._failures[job.key] > self._max_failures:
            del self._failures[job.key]
            self._queue.job_failed(job.key, error_text)
        else:
            self._again.append(job)

    def _take_back(self, key: str) -> Job:
        if self._workers.pop(key, None) and not self._workers:
            self._idle_since = self._clock()
        return self._out.pop(key)

    def _new(self) -> Job | None:
        job = self._queue.next_job()
        if job is None or job.gpu is None or 0 < self._resources.gpu < job.gpu <= 1:
            return job
        return replace(job, gpu=None)  # an earlier driver's share says nothing new here

    def _taken(self) -> int:
        """Slots of the jobs that are out: one that was given a larger share of a GPU takes several."""
        share = self._resources.gpu
        return sum(max(1, round(job.gpu / share)) if job.gpu and share else 1 for job in self._out.values())
