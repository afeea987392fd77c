"""How long drivers and stores wait for each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreTimings:
    """Seconds, for a run in a store."""

    beat_s: float = 10.0
    """between signs of life of a driver"""
    lease_s: float = 60.0
    """of silence, after which a driver may be taken over"""
    settle_s: float = 1.0
    """until a lease that was written is certain to stay; longer than a small upload takes"""
    push_s: float = 5.0
    """between pushes of what a driver wrote"""
    patience_s: float = 600.0
    """for a store that cannot be reached"""
    retry_s: float = 3.0
    """between attempts at it"""


STORE_TIMINGS = StoreTimings()
