"""How long Ray is waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConnectionTimings:
    """Seconds.

    Attributes:
        answer_s: until something answers at the address of a cluster
        join_s: until a cluster whose head answers has been joined
        start_s: until a Ray of our own has started
        shutdown_s: until the processes of a Ray of our own have ended; then they are killed
        hurried_s: the same, after a signal or an error
    """

    answer_s: float = 5.0
    join_s: float = 30.0
    start_s: float = 120.0
    shutdown_s: float = 10.0
    hurried_s: float = 3.0


TIMINGS = ConnectionTimings()
