"""What every test gets: one thread, fixed seeds, no network, quiet Ray."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
from typing import Any

# Before torch and Ray are imported, and inherited by every process that a test starts. One thread: numbers do not hang
# on the machine's cores, and on a busy machine threads that wait for each other cost many times what they save.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # workers run in this very environment, however pytest was started
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no network
os.environ.setdefault("MPLBACKEND", "Agg")  # no window

import numpy as np
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # a plugin may have imported it earlier
# A shell's `&` has every process ignore Ctrl-C, and nohup a closed terminal; those that a test starts and interrupts
# would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("owkd", deadline=None, derandomize=True, database=None)
settings.load_profile("owkd")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests of a GPU are asked for and there is none, they are skipped and say so."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu") is not None:
                item.add_marker(pytest.mark.skip(reason="there is no GPU"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The global generators start from the same state in every test, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh, seeded source of random arrays."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python sockets of the test process reach this machine only; elsewhere it is as if the cable were out."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if _leaves_machine(self, address):
            raise OSError(errno.ENETUNREACH, f"tests have no network, but something connects to {address}")
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        return errno.ENETUNREACH if _leaves_machine(self, address) else connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


def _leaves_machine(sock: socket.socket, address: Any) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    if sock.type & socket.SOCK_DGRAM:  # connecting one sends nothing; Ray learns its own address in this way
        return False
    with socket.socket(sock.family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address[0], 0))  # works for addresses of this machine only
        except OSError:
            return True
    return False
