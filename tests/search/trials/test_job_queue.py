"""Calls of a queue that a signal does not cut in two."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from owkd.interruption import Terminated, heeded
from search.trials.job_queue import JobQueue, WholeCalls

CALLS: dict[str, tuple[Any, ...]] = {
    "next_job": (),
    "job_started": ("trial-00000", 0.5),
    "message_received": ("message",),
    "job_stopped": ("trial-00000", "message"),
    "job_failed": ("trial-00000", "why"),
    "job_interrupted": ("trial-00000", "why"),
    "waiting": ("why",),
}


class Recording:
    """A queue that gets a signal in the middle of each of its records."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any) -> str:
            self.written.append(name)
            os.kill(os.getpid(), signal.SIGTERM)
            self.written.append(given)
            return name

        return call


def test_every_call_of_a_queue_is_tried_here() -> None:
    assert set(CALLS) == {name for name in vars(JobQueue) if not name.startswith("_")}


@pytest.mark.parametrize("name", CALLS)
def test_a_signal_waits_for_the_end_of_a_call(name: str) -> None:
    queue = Recording()
    with heeded(), pytest.raises(Terminated):
        getattr(WholeCalls(queue), name)(*CALLS[name])
    assert queue.written == [name, CALLS[name]]
