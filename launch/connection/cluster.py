"""Joining a Ray cluster that runs already, as a driver on one of its nodes."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launch.connection.limit import limited
from launch.connection.signals import signals_stay_ours
from launch.connection.timings import TIMINGS, ConnectionTimings
from owkd.errors import UserError
from owkd.interruption import listen_again, uninterrupted

HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""what a client of gRPC says first: RFC 9113, section 3.4, with no settings of its own"""
LAST_PORT = 65535
SETTINGS = 4
"""type of the frame that every server answers with, the fourth byte of it"""


@contextmanager
def joined_cluster(address: str, timings: ConnectionTimings = TIMINGS) -> Iterator[None]:
    """Joins a running cluster as a driver, on one of its nodes. Raises `UserError` when it cannot, or not in time."""
    import ray

    something_listens = False
    try:
        _require_head(address, timings.answer_s)
        something_listens = True
        with limited(timings.join_s, "joining it"), signals_stay_ours():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises whatever it met, down to plain Exception
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
            listen_again()


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


def _require_head(address: str, wait_s: float) -> None:
    """Raises `OSError`, `ValueError` where no head of Ray answers: Ray itself would try for minutes, or for ever."""
    if address == "auto":
        return
    host, separator, port = address.removeprefix("[").replace("]:", ":").rpartition(":")
    if "://" in address or not separator or not port.isdigit() or int(port) > LAST_PORT:
        raise ValueError("the form is HOST:PORT, or auto")
    deadline = time.monotonic() + wait_s
    with socket.create_connection((host, int(port)), timeout=wait_s) as connection:
        if os.environ.get("RAY_USE_TLS") in (None, "", "0"):
            _require_http2(connection, deadline)


def _require_http2(connection: socket.socket, deadline: float) -> None:
    """A head speaks gRPC, and so HTTP/2, whose servers greet at once. Raises `OSError` where there is no greeting."""
    connection.sendall(HTTP2_GREETING)
    frame = b""
    try:
        while len(frame) <= SETTINGS - 1:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            if not (received := connection.recv(SETTINGS - len(frame))):
                break
            frame += received
    except TimeoutError:
        raise TimeoutError("something listens there, but it does not answer") from None
    if frame[SETTINGS - 1 :] != bytes([SETTINGS]):
        raise OSError("something else than the head of a Ray cluster listens there")
