"""Joining a cluster: a missing one, or something else in its place, is reported clearly and in time."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import ray

from launch.cli import run_command
from launch.connection import ConnectionTimings, cluster, connection, joined_cluster, local_ray
from launch.connection.limit import limited
from owkd.errors import UserError


@contextmanager
def server(greeting: bytes | None) -> Iterator[str]:
    """Something that takes connections, and answers each with some bytes, or not at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                if greeting is not None:
                    connection.sendall(greeting)

        kept: list[socket.socket] = []
        threading.Thread(target=answer, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for each in kept:
        each.close()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "[::1]:1", "nowhere.invalid:6379", "ray://127.0.0.1:1", "host", "127.0.0.1:99999"]
)
def test_an_address_without_a_cluster_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="--address must name a running Ray cluster") as refused:
        connection(address)().__enter__()
    assert address in str(refused.value)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (None, "something listens there, but it does not answer"),
        (b"220 mail ready\r\n", "something else than the head of a Ray cluster listens there"),
    ],
)
def test_an_address_of_something_else_is_refused_in_time(greeting: bytes | None, words: str) -> None:
    begun = time.monotonic()
    with server(greeting) as address, pytest.raises(UserError, match=words):
        connection(address, timings=ConnectionTimings(answer_s=0.2))().__enter__()
    assert time.monotonic() - begun < 10


def test_a_head_that_greets_and_then_falls_silent_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda **options: threading.Event().wait(30))
    settings = bytes([0, 0, 0, cluster.SETTINGS, 0, 0, 0, 0, 0])
    with server(settings) as address, pytest.raises(UserError, match=r"joining it took longer than 0\.05 s"):
        connection(address, timings=ConnectionTimings(join_s=0.05))().__enter__()


def test_a_command_ends_where_nothing_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """After five seconds, which is the limit that users have."""
    with server(None) as address:
        assert run_command(["doctor", "--address", address]) == 2
    assert "does not answer" in capsys.readouterr().err.replace("\n", " ")


def test_a_limit_leaves_an_earlier_alarm_as_it_was() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    outer = signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        with pytest.raises(TimeoutError, match=r"this took longer than 0\.05 s"), limited(0.05, "this"):
            threading.Event().wait(30)
        assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] < 60
        assert rung == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, *outer)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("address", "opens"), [(None, local_ray), ("somewhere:6379", joined_cluster)])
def test_a_connection_is_only_opened_when_it_is_entered(address: str | None, opens: Any) -> None:
    assert getattr(connection(address), "func", None) is opens
