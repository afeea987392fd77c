"""A connection to Ray: of our own on this machine, or to a cluster that runs already.

cluster.py    joining a cluster: what answers at its address, and the token that it asks for
local.py      a Ray of our own: started on the loopback device alone, ended without a trace
processes.py  the processes that this one started, and their end
signals.py    signals while Ray starts
limit.py      a limit to what has none of its own
timings.py    how long Ray is waited for
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from launch.connection.cluster import joined_cluster
from launch.connection.local import local_ray, remove_leftovers
from launch.connection.timings import TIMINGS, ConnectionTimings
from owkd.hidden import require_visible


def connection(
    address: str | None, *, dashboard: bool = False, timings: ConnectionTimings = TIMINGS
) -> Callable[[], AbstractContextManager[None]]:
    """How a search reaches Ray: the cluster at `address`, or, without one, a Ray of its own on this machine.

    Nothing is opened before the connection is entered; that raises `UserError` where the cluster cannot be joined, and
    `OwkdError` where Ray does not start. Raises `UserError` at once where this folder hides a package of owkd.
    """
    require_visible(["."])  # Ray has every worker look for packages in this folder first
    if address is None:
        return partial(local_ray, dashboard=dashboard, timings=timings)
    return partial(joined_cluster, address, timings)


__all__ = ["TIMINGS", "ConnectionTimings", "connection", "joined_cluster", "local_ray", "remove_leftovers"]
