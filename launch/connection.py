"""A connection to Ray: of our own on this machine, or to a cluster that runs already."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from launch.local_ray import TIMINGS, ConnectionTimings, local_ray, uninterrupted
from owkd.errors import UserError


def connection(
    address: str | None, *, dashboard: bool = False, timings: ConnectionTimings = TIMINGS
) -> Callable[[], AbstractContextManager[None]]:
    """How a search reaches Ray: the cluster at `address`, or, without one, a Ray of its own on this machine.

    Nothing is opened before the connection is entered; that raises `UserError` where the cluster cannot be joined.
    """
    if address is None:
        return partial(local_ray, dashboard=dashboard, timings=timings)
    return partial(_joined_cluster, address, timings)


@contextmanager
def _joined_cluster(address: str, timings: ConnectionTimings) -> Iterator[None]:
    """Joins a running cluster as a driver, on one of its nodes. Raises `UserError` when it cannot."""
    import ray

    something_listens = False
    try:
        _require_listener(address, timings.answer_s)
        something_listens = True
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        turned_away = isinstance(error, ConnectionError) and something_listens and address != "auto"
        locked = isinstance(error, ray.exceptions.AuthenticationError) or turned_away
        remedy = _token_remedy() if locked else "start one, or leave --address out"
        raise UserError(
            f"--address must name a running Ray cluster that this machine may join, but got {address}: "
            f"{str(error).partition('. ')[0]}; {remedy}"
        ) from error
    try:
        yield
    finally:
        with uninterrupted():
            ray.shutdown()


def _token_remedy() -> str:
    """What to do where something listens, but refuses this machine."""
    host = socket.gethostname()
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    has_token = "RAY_AUTH_TOKEN" in os.environ or path.is_file()
    state = (
        "has a token, which may be another cluster's"
        if has_token
        else f"has no token: neither RAY_AUTH_TOKEN nor {path}"
    )
    return (
        f"copy ~/.ray/auth_token of the cluster's head to {path} on {host}, which {state}, and set RAY_AUTH_MODE=token"
    )


def _require_listener(address: str, wait_s: float) -> None:
    """Raises `OSError`, `ValueError` where nothing listens: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, separator, port = address.removeprefix("[").replace("]:", ":").rpartition(":")
    if "://" in address or not separator or not port.isdigit():
        raise ValueError("the form is HOST:PORT, or auto")
    with socket.create_connection((host, int(port)), timeout=wait_s):
        pass
