"""The view: lines where there is no terminal, and a live one that fits into 80 columns and uses 200."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from rich.console import Console

from search.progress import Progress
from search.trials.job import Message
from search.trials.listener import ActiveJob, EpochRecord
from search.trials.states import State
from search.trials.view import Ending


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Time that stands still until it is told."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def view(console: Console, total: int = 10, past: Mapping[State, int] | None = None) -> Progress:
    return Progress(console, "search fake", total=total, unit="trials", metric="val/mAP", past=past or {})


def job(name: str, about: str = "", epochs: int = 30, attempt: int = 1, objective: float | None = None) -> ActiveJob:
    return ActiveJob(name, name, about, epochs, attempt, objective=objective)


def epoch(step: int, objective: float, best: float, *, is_new: bool = True) -> EpochRecord:
    return EpochRecord("Fold1", 0, step, step, objective, best, {}, 0.0, is_new=is_new)


def crash(text: str) -> Message:
    return Message("", "crashed", 1, 0.0, "Fold1", 0, 0, (), False, 0.0, "node", error_text=text)


def test_without_a_terminal_each_event_is_one_line(clock) -> None:
    out = io.StringIO()
    with view(Console(file=out, width=80)) as progress:
        progress.job_started(job("trial 0", "gram 0.0001", 30))
        progress.epoch_recorded(job("trial 0"), epoch(1, 0.5, 0.5))
        clock[0] = 61.0
        progress.epoch_recorded(job("trial 0"), epoch(2, 0.4, 0.5))
        progress.job_ended(job("trial 0", objective=0.5), Ending("pruned"))
        progress.leader("trial 0", 0.5, "gram 0.0001")
        progress.job_started(job("trial 1", "", 30, 2))
        progress.job_crashed(job("trial 1"), crash("Traceback\n  File x\nRuntimeError: a cable came loose"))
        progress.job_ended(job("trial 1", objective=None), Ending("out_of_memory", error_text="CUDA out of memory"))
    assert out.getvalue().splitlines() == [
        "0:00:00  trial 0 started: gram 0.0001",
        "0:01:01  trial 0 epoch 2/30: val/mAP 0.4000, best 0.5000",
        "0:01:01  trial 0 pruned after epoch 2, val/mAP 0.5000 (1/10 trials, about 0:09:09 left)",
        "0:01:01  best so far: trial 0, val/mAP 0.5000, gram 0.0001",
        "0:01:01  trial 1 started again, attempt 2",
        "0:01:01  trial 1 crashed: RuntimeError: a cable came loose",
        "0:01:01  trial 1 out of memory after epoch 0: CUDA out of memory "
        "(2/10 trials, best trial 0 0.5000, about 0:04:04 left)",
        "0:01:01  2/10 trials, best trial 0 0.5000, about 0:04:04 left, elapsed 0:01:01",
    ]


def test_how_many_jobs_there_are_may_become_known_as_they_run(clock) -> None:
    out, known = io.StringIO(), [1]
    progress = Progress(
        Console(file=out, width=80), "control", total=lambda: known[0], unit="trials", metric="val/mAP", past={}
    )
    with progress:
        progress.job_started(job("trial 0"))
        known[0] = 2
        progress.job_ended(job("trial 0", objective=0.5), Ending("complete"))
    assert "(1/2 trials)" in out.getvalue()


def test_epochs_told_again_do_not_make_time_look_short(clock) -> None:
    progress = view(Console(file=io.StringIO()), total=2)
    progress.job_started(job("trial 0", "", 10))
    for step in range(1, 6):
        progress.epoch_recorded(job("trial 0"), epoch(step, 0.5, 0.5, is_new=False))
    clock[0] = 100.0
    assert progress._left_s() is None
    progress.epoch_recorded(job("trial 0"), epoch(6, 0.5, 0.5))
    # one epoch in 100 s; 4 ahead in this trial, 10 in the next
    assert progress._left_s() == pytest.approx(1400)


def rendered(width: int, height: int = 24, running: int = 3) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    progress = view(console, 100, {"complete": 20, "pruned": 12, "diverged": 1, "error": 2})
    values = "gram 0.000123, spectrum 0.00045, teacher_weights 1.10/0.72/1.18, stage_weights 1.93/0.58/0.54/0.94"
    for number in range(running):
        progress.job_started(job(f"trial {35 + number}", values, 30))
        progress.epoch_recorded(job(f"trial {35 + number}"), epoch(12 + number, 0.7321, 0.74))
    progress.job_started(job("trial 99", values, 30))
    progress.leader("trial 22", 0.8123, values)
    with console.capture() as capture:
        console.print(progress.render())
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_live_view_fits_its_terminal_and_says_it_all(width: int) -> None:
    lines = rendered(width)
    assert all(len(line.rstrip()) <= width for line in lines)
    text = "\n".join(lines)
    assert "35/100 trials" in text
    assert "4 running  20 complete  12 pruned  1 diverged  2 error" in text
    assert re.search(r"trial 35 +[━╸╺ ]+ 12/30 +0\.7321 +best 0\.7400", text)
    assert re.search(r"trial 99 +[━╸╺ ]+ 0/30 +starting", text)
    assert "best trial 22  val/mAP 0.8123\n     gram 0.000123, spectrum 0.00045, teacher_weights 1.10/0.72/1.18" in text
    assert "elapsed 0:00:0" in text


def test_a_wide_terminal_shows_parameters_too() -> None:
    assert "gram" not in "".join(line for line in rendered(80) if "trial 35" in line)
    assert "gram 0.000123" in next(line for line in rendered(200) if "trial 35" in line)


@pytest.mark.parametrize("colourless", [True, False])
def test_the_live_view_has_no_colour_where_none_is_wished_for(
    colourless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if colourless:
        monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system="standard")
    progress = view(console, 10, {"complete": 2, "error": 1})
    with console.capture() as capture:
        console.print(progress.render())
    coloured = re.search(r"\x1b\[[0-9;]*3[0-7]", capture.get()) is not None
    assert coloured != colourless


def test_many_jobs_do_not_overflow_the_screen() -> None:
    lines = rendered(80, height=24, running=60)
    assert len(lines) < 24
    assert any("and 46 more" in line for line in lines)


def test_on_a_terminal_only_the_live_view_and_failures_are_printed() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=20, force_terminal=True, color_system=None)
    with view(console) as progress:
        progress.job_started(job("trial 0", "gram 0.0001", 3))
        progress.job_crashed(job("trial 0"), crash("RuntimeError: a cable"))
        anew = epoch(1, 0.5, 0.5, is_new=False)
        progress.epoch_recorded(job("trial 0"), replace(anew, note="started anew: last.pt is damaged"))
        progress.job_ended(job("trial 0", objective=0.5), Ending("complete"))
    text = out.getvalue()
    assert "trial 0 epoch 1: started anew: last.pt is damaged" in text
    assert "trial 0 crashed: RuntimeError: a cable" in text
    assert "started:" not in text
    assert "1/10 trials" in text
