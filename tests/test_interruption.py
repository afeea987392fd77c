"""Signals: the first ends a command in an orderly way, and waits for what it must not cut; a second ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from owkd.interruption import ECHO_S, SIGNALS, Terminated, heeded, listen_again, uninterrupted

TWICE = """
import signal, sys, time
from owkd.interruption import heeded, uninterrupted
with heeded():
    with uninterrupted():
        print("ready", flush=True)
        while True:
            time.sleep(60)
"""


def send(number: int) -> None:
    """To this process, whose Python takes it before it goes on."""
    os.kill(os.getpid(), number)
    time.sleep(0)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_raises_what_lets_ctrl_c_end(number: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with heeded() as asked_for:
        assert asked_for() == 0
        with pytest.raises(KeyboardInterrupt) as raised:
            send(number)
        assert asked_for() == 128 + number
        assert isinstance(raised.value, Terminated) == (number != signal.SIGINT)
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_what_must_not_be_cut_ends_first() -> None:
    steps = []

    def work() -> None:
        with uninterrupted(), uninterrupted():
            steps.append("begun")
            send(signal.SIGTERM)
            steps.append("done")
        steps.append("after")

    with heeded(), pytest.raises(Terminated):
        work()
    assert steps == ["begun", "done"]


def test_a_block_of_a_library_call_listens_for_itself() -> None:
    steps = []

    def work() -> None:
        with uninterrupted():
            send(signal.SIGINT)
            steps.append("done")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["done"]


def test_the_echo_of_a_signal_is_no_second_one() -> None:
    def work() -> None:
        with uninterrupted():
            send(signal.SIGTERM)
            send(signal.SIGTERM)  # as `timeout` does, to the process and then to its group

    with heeded(), pytest.raises(Terminated):
        work()


def test_handlers_are_taken_back_from_a_library() -> None:
    with heeded():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        listen_again()
        with pytest.raises(Terminated):
            send(signal.SIGTERM)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with heeded() as asked_for:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            listen_again()
            send(signal.SIGHUP)
            assert asked_for() == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_are_none_of_its_business() -> None:
    seen = []

    def work() -> None:
        with heeded() as asked_for, uninterrupted():
            seen.append(asked_for())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_at_once_whatever_is_done(number: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", TWICE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(5 * ECHO_S)
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    process.stdout.close()
