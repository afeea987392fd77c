"""How long drivers and stores wait for each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreTimings:
    """Seconds, for a run in a store.

    Attributes:
        beat_s: between signs of life of a driver
        lease_s: of silence, after which a driver may be taken over
        settle_s: until a lease that was written is certain to stay; longer than a small upload takes
        push_s: between pushes of what a driver wrote
        patience_s: for a store that cannot be reached
        retry_s: between attempts at it
    """

    beat_s: float = 10.0
    lease_s: float = 60.0
    settle_s: float = 1.0
    push_s: float = 5.0
    patience_s: float = 600.0
    retry_s: float = 3.0


STORE_TIMINGS = StoreTimings()
