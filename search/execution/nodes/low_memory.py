"""A worker that Ray killed because its node ran low on memory, as one more worker that died.

Ray 2.60 tells Tune so with an `OutOfMemoryError`, which is neither an actor's error nor a task's: Tune then ends the
whole search for one worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError


class LowMemoryError(RayActorError):
    """A node ran low on memory, and a worker on it was killed; the text is Ray's."""


@contextmanager
def low_memory_kills_one_worker() -> Iterator[None]:
    """While a search runs, Tune hears of such a worker as of any that died, with a `LowMemoryError`."""
    manager_class: Any = RayActorManager  # whose method is replaced
    task_failed = manager_class._actor_task_failed

    def failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:  # Ray names its arguments
        told = LowMemoryError("", str(exception)) if isinstance(exception, OutOfMemoryError) else exception
        task_failed(manager, tracked_actor_task=tracked_actor_task, exception=told)

    manager_class._actor_task_failed = failed
    try:
        yield
    finally:
        manager_class._actor_task_failed = task_failed
