"""Failures by the place where they happened, a node or one of its GPUs: which nodes are left out.

| what happened                                               | what it shows                                    |
|-------------------------------------------------------------|--------------------------------------------------|
| a place trained an epoch                                    | it serves: what failed there before was no fault |
| `FAULTS` errors of a machine in a row at one place          | its node is left out                             |
| `STREAK` jobs in a row failed for good on one node, while   | the node is left out, and none of these failures |
| another one trained                                         | counts                                           |
| a job met such errors, and `CLEARED` times the place        | they are the job's own                           |
| served others afterwards                                    |                                                  |

In a row: with no epoch in between. A GPU cannot be left out alone, so its node is. A node that is left out and ends an
epoch of a job that it still has is taken back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from search.trials.job import Job

FAULTS = 2
"""in a row at one place: one may be a hiccup of a network file system"""
STREAK = 4
"""where one trial of five fails by itself, such a row is luck in one case of 600"""
CLEARED = 2


class Place(NamedTuple):
    """Where a job ran.

    Attributes:
        node: id of Ray's
        device: the GPUs that it was given there, as CUDA counts them; empty for none
    """

    node: str
    device: str = ""


@dataclass(frozen=True)
class Failure:
    """A job that failed as often as it may, and with what."""

    job: Job
    error_text: str


@dataclass(frozen=True)
class _LeftOut:
    """A node that failed.

    Attributes:
        place: whose next epoch takes it back; without a device, any of the node's
    """

    place: Place
    reason: str


class NodeStanding:
    """What one driver knows of its nodes."""

    def __init__(self) -> None:
        self._unfit: set[str] = set()
        self._left_out: dict[str, _LeftOut] = {}
        self._faults: defaultdict[Place, list[str]] = defaultdict(list)
        self._cleared: Counter[str] = Counter()
        self._withheld: dict[str, list[Failure]] = {}
        self._epochs: Counter[str] = Counter()
        self._epochs_before: dict[str, int] = {}

    @property
    def excluded(self) -> set[str]:
        """Ids of the nodes that get no jobs: left out, or on which job after job failed, until it is known why."""
        in_doubt = {node for node, failures in self._withheld.items() if len(failures) >= STREAK}
        return self._unfit | self._left_out.keys() | in_doubt

    def reasons(self) -> list[str]:
        """Why nodes were left out that were thought to serve."""
        return [left_out.reason for left_out in self._left_out.values()]

    def leave_out(self, node: str) -> None:
        """A node that said itself that it cannot serve."""
        self._unfit.add(node)

    def trained(self, key: str, place: Place) -> list[Failure]:
        """A job trained an epoch -> what was withheld on this node: these jobs are at fault themselves."""
        self._epochs[place.node] += 1
        for other in set(self._faults.pop(place, ())) - {key}:
            self._cleared[other] += 1
        left_out = self._left_out.get(place.node)
        if left_out is not None and left_out.place.device in ("", place.device):
            del self._left_out[place.node]
        return self._withheld.pop(place.node, [])

    def faulted(self, key: str, place: Place, reason: str) -> bool:
        """A job met an error of a machine -> whether it is the job's own, since such places serve others."""
        met_alone = set(self._faults[place]) == {key}
        if self._cleared[key] >= (1 if met_alone else CLEARED):
            return True
        self._faults[place].append(key)
        if len(self._faults[place]) >= FAULTS:
            self._left_out[place.node] = _LeftOut(place, reason)
        return False

    def in_doubt(self, key: str) -> bool:
        """Whether nobody knows yet if an error that a job met is its place's."""
        return any(key in keys and place.node not in self._left_out for place, keys in self._faults.items())

    def withhold(self, failure: Failure, node: str) -> None:
        """A job failed for good on a node, the last time at least: one of the two is at fault."""
        if node not in self._withheld:
            self._withheld[node] = []
            self._epochs_before[node] = self._epochs_elsewhere(node)
        self._withheld[node].append(failure)

    def failing_alone(self) -> list[tuple[str, Failure]]:
        """Nodes on which job after job failed while others trained, each with the last of these failures."""
        return [
            (node, failures[-1])
            for node, failures in self._withheld.items()
            if len(failures) >= STREAK and self._epochs_elsewhere(node) > self._epochs_before[node]
        ]

    def leave_out_failing(self, node: str, reason: str) -> list[Job]:
        """Leaves out a node of `failing_alone` -> the jobs that failed on it through no fault of theirs."""
        self._left_out[node] = _LeftOut(Place(node), reason)
        return [failure.job for failure in self._withheld.pop(node)]

    def only_failures(self, at_work: Collection[str]) -> bool:
        """Whether job after job failed on each node at work, and on each where one is withheld."""
        nodes = {*at_work, *self._withheld}
        return all(len(self._withheld.get(node, ())) >= STREAK for node in nodes)

    def release_all(self) -> list[Failure]:
        """All that is withheld, in order: the nodes are not at fault, or nothing can show it."""
        failures = [failure for failures in self._withheld.values() for failure in failures]
        self._withheld.clear()
        return failures

    def _epochs_elsewhere(self, node: str) -> int:
        return self._epochs.total() - self._epochs[node]
