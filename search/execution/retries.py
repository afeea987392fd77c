"""Attempts at jobs: how many are out, and what follows when one fails.

| what happened                                     | counts against `search.max_failures` | what follows              |
|---------------------------------------------------|--------------------------------------|---------------------------|
| an exception; a worker that died on a living node | yes                                  | again, or it is over      |
| an error of the machine (`nodes.faults`)          | no, until such machines are known    | again, after other jobs;  |
|                                                   | to serve others                      | two in a row: not there   |
| a node that was lost or preempted                 | no                                   | again, wherever it fits   |
| a node that joined late and cannot serve          | no                                   | again, not on that node   |
| GPU memory exhausted on a share of a GPU          | no                                   | once on twice the share   |

A job that failed as often as it may is withheld where other nodes serve, until its own one trains something: then it is
over. If job after job fails on that node alone, it is left out, and they begin again elsewhere (`nodes.standing`). When
the last node is left out, the search ends, and can be resumed.

Every attempt is a trial of its own to Ray Tune, which restarts nothing by itself. Jobs are asked of the queue only
when a slot is free for them on the nodes that live at that moment: a node that joins gets jobs, and no proposal is
drawn long before it can run.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from owkd.errors import OwkdError
from search.execution.node_admission import UNFIT
from search.execution.nodes import STREAK, Failure, Nodes, NodeStanding, Place, Workers
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

DOUBT_ENDS = 10
"""times `patience_s` without any worker at work: then nobody will show whether a node is at fault"""
REMEDY = "Nothing is lost: mend what these lines name, then owkd resume continues, or owkd retrain in the final stage"
LEFT_OUT = "its node is left out until it is mended and its Ray started again"


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
        self.healthy_nodes: set[str] = set()
        self._queue = queue
        self._resources = resources
        self._max_failures = max_failures
        self._nodes = nodes
        self._timings = timings
        self._clock = clock
        self._standing = NodeStanding()
        self._out: dict[str, Job] = {}
        self._workers = Workers(nodes)
        self._again: deque[Job] = deque()
        self._later: deque[Job] = deque()
        self._undecided: list[_Undecided] = []
        self._failures: Counter[str] = Counter()
        self._slots = nodes.slots()
        self._looked = self._idle_since = clock()
        self._reason = ""

    @property
    def excluded_nodes(self) -> set[str]:
        """Ids of the nodes that get no jobs."""
        return self._standing.excluded

    def next(self) -> Job | None:
        """The job that goes out now; None when there is none, or no room for it. Raises as `settle`."""
        self.settle()
        if self._taken() >= self._slots:
            return None
        job = self._known() or self._new()
        if job is None and not (self._later or self._out or self._undecided):
            self._end(self._standing.release_all())  # nothing else can show whose fault it was
            job = self._new()
        if job is None and self._later:
            job = self._later.popleft()
        if job is None:
            self.over = not self._out and not self._undecided
            return None
        self._out[job.key] = job
        return job

    def settle(self) -> None:
        """Looks at the cluster from time to time, and acts on what is certain by now.

        Raises `OwkdError` when nothing is at work and all nodes that could hold a job were left out for their failures.
        """
        now = self._clock()
        if now - self._looked >= self._timings.look_s:
            self._looked = now
            self._count_slots()
            undecided, self._undecided = self._undecided, []
            for died in undecided:
                self._decide(died)
        idle_s = 0.0 if self._workers else now - self._idle_since
        if not self._workers and (not self._slots or idle_s >= DOUBT_ENDS * self._timings.patience_s):
            self._require_a_node()
        if idle_s >= self._timings.patience_s:
            one = self._resources.describe_one()
            reason = "none is free" if self._slots else f"no node holds a trial ({one}) now"
            if reason != self._reason:
                self._reason = reason
                self._queue.waiting(reason)

    def started(self, key: str, worker: str) -> None:
        """A worker (its actor id) takes up a job."""
        self._workers.started(key, worker)
        self._reason = ""
        self._queue.job_started(key, self._out[key].gpu or self._resources.gpu)

    def epoch_reported(self, message: Message) -> None:
        """A job reported an epoch: its node serves, and what failed there is at fault itself."""
        node = self._workers.node(message.key)
        if node is None:
            return
        self.healthy_nodes.add(node)
        if message.replayed:
            return
        self._end(self._standing.trained(message.key, Place(node, message.device)))
        self._judge()

    def ended(self, key: str, last: Message | None) -> None:
        """A worker is through with a job, by itself or because the scheduler stopped it."""
        node = self._workers.node(key)
        job = self._take_back(key)
        if last is None:
            self._failed(job, node, "the worker ended without a report")
        elif last.state == UNFIT:
            self._leave_out(job, node, last.error_text or "")
        elif last.state == "node_fault":
            self._faulted(job, node, last.error_text or "", last.device)
        elif last.state == "out_of_memory" and 0 < self._resources.gpu < 1 and job.gpu is None:
            self._again.append(replace(job, gpu=min(1.0, 2 * self._resources.gpu)))
        else:
            self._failures.pop(key, None)
            self._queue.job_stopped(key, last)

    def failed(self, key: str, error_text: str, *, of_node: bool = False) -> None:
        """A job raised an exception; `of_node`: it is an error of the machine."""
        node = self._workers.node(key)
        job = self._take_back(key)
        if of_node:
            self._faulted(job, node, error_text)
        else:
            self._failed(job, node, error_text)

    def worker_died(self, key: str, error_text: str, *, preempted: bool = False) -> None:
        """The worker of a job died: with its node, or on its own."""
        node = self._workers.node(key)
        job = self._take_back(key)
        if preempted:
            self._lost_node(job)
        else:
            self._decide(_Undecided(job, node, error_text, self._clock() + self._timings.undecided_s))

    def _decide(self, died: _Undecided) -> None:
        if died.node is not None and died.node not in self._nodes.living():
            self._lost_node(died.job)
        elif self._clock() >= died.until or died.node is None:
            self._failed(died.job, died.node, died.error_text)
        else:
            self._undecided.append(died)

    def _leave_out(self, job: Job, node: str | None, reason: str) -> None:
        if node is not None:
            self._standing.leave_out(node)
            self._count_slots()
        self._queue.job_interrupted(job.key, f"{LEFT_OUT}: {reason}")
        self._again.append(job)

    def _lost_node(self, job: Job) -> None:
        self._queue.job_interrupted(job.key, "its node is gone")
        self._again.append(job)

    def _faulted(self, job: Job, node: str | None, error_text: str, device: str = "") -> None:
        """A job met an error of its machine. It waits until others had their turn, so that the next one there tells."""
        if node is None:
            self._failed(job, node, error_text)
            return
        name = self._nodes.name(node) + (f", GPU {device}" if device else "")
        reason = f"{name}: {error_text}"
        if self._standing.faulted(job.key, Place(node, device), reason):
            self._failed(job, node, error_text)
            return
        self._later.append(job)
        self._count_slots()
        left_out = node in self.excluded_nodes
        self._queue.job_interrupted(job.key, f"{LEFT_OUT if left_out else 'its machine failed'}: {reason}")

    def _failed(self, job: Job, node: str | None, error_text: str) -> None:
        self._failures[job.key] += 1
        failure = Failure(job, error_text)
        if self._failures[job.key] <= self._max_failures:
            self._again.append(job)
        elif node is None or not self._nodes.slots(
            self.excluded_nodes | {node}
        ):  # nobody else can show whose fault it is
            self._end([failure])
        else:
            self._standing.withhold(failure, node)
            self._judge()

    def _judge(self) -> None:
        """Leaves out the nodes that fail alone; where all that are at work only fail, the jobs are at fault."""
        for node, last in self._standing.failing_alone():
            reason = (
                f"{self._nodes.name(node)}: {STREAK} trials in a row failed there and not elsewhere, the last with "
                + last.error_text.rstrip().rpartition("\n")[2]
            )
            for job in self._standing.leave_out_failing(node, reason):
                del self._failures[job.key]
                self._again.append(job)
                self._queue.job_interrupted(job.key, f"{LEFT_OUT}: {reason}")
        self._count_slots()
        if not self._slots and self._standing.only_failures(self._workers.nodes()):
            self._end(self._standing.release_all())
            self._count_slots()

    def _end(self, failures: Iterable[Failure]) -> None:
        """Jobs that failed through a fault of their own."""
        for failure in failures:
            self._failures.pop(failure.job.key, None)
            self._queue.job_failed(failure.job.key, failure.error_text)

    def _require_a_node(self) -> None:
        """Nothing runs and nothing can. Raises `OwkdError` where that is because nodes were left out."""
        self._end(self._standing.release_all())  # nobody is left to show whose fault it was
        self._count_slots()
        reasons = self._standing.reasons()
        if reasons and not self._slots and not self._undecided and self._nodes.slots():
            lines = "\n".join(f"  - {reason}" for reason in reasons)
            raise OwkdError(f"every node that could train was left out, because its machine failed:\n{lines}\n{REMEDY}")

    def _count_slots(self) -> None:
        self._slots = self._nodes.slots(self.excluded_nodes)

    def _take_back(self, key: str) -> Job:
        if self._workers.is_through(key) and not self._workers:
            self._idle_since = self._clock()
        return self._out.pop(key)

    def _known(self) -> Job | None:
        """A job that is to be started again now."""
        if self._again:
            return self._again.popleft()
        job = next((job for job in self._later if not self._standing.in_doubt(job.key)), None)
        if job is not None:
            self._later.remove(job)
        return job

    def _new(self) -> Job | None:
        job = self._queue.next_job()
        if job is None or job.gpu is None or 0 < self._resources.gpu < job.gpu <= 1:
            return job
        return replace(job, gpu=None)  # an earlier driver's share says nothing new here

    def _taken(self) -> int:
        """Slots of the jobs that are out: one that was given a larger share of a GPU takes several."""
        share = self._resources.gpu
        return sum(max(1, round(job.gpu / share)) if job.gpu and share else 1 for job in self._out.values())
