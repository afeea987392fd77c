"""Which node each job is on, by the worker that has it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


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

    def name(self, node: str) -> str:
        """For people: what a node is called, by its id."""
        ...


class Workers:
    """The workers that have a job; false when there are none."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._workers: dict[str, str] = {}
        self._node_of: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._workers)

    def started(self, key: str, worker: str) -> None:
        """A worker (its actor id) takes up a job."""
        self._workers[key] = worker

    def is_through(self, key: str) -> bool:
        """A worker no longer has this job -> whether one had it."""
        self._node_of.pop(key, None)
        return self._workers.pop(key, None) is not None

    def node(self, key: str) -> str | None:
        """Id of the node that a job is on; None before a worker has it, or where Ray does not know."""
        if key in self._workers and key not in self._node_of:
            node = self._nodes.of_worker(self._workers[key])
            if node is None:
                return None
            self._node_of[key] = node
        return self._node_of.get(key)

    def nodes(self) -> set[str]:
        """Ids of the nodes that jobs are on."""
        return {node for key in self._workers if (node := self.node(key)) is not None}
