"""The bookkeeping of a search, cut off at each of its writes in turn: what random moments only sample.

    python -m tests.chaos.cuts [--first N] [--every N] [--power SEED]

A driver without Ray, one job at a time in its own process, is ended from within (no cleaning up, nothing flushed) just
before its n-th operation on a file; an append to the study is left half done. A second driver is cut off in the same
way while it mends; a third goes to the end. Then the search must be whole, as after any other kill.

With `--power` the machine loses its power at that moment: what was not synced is gone, or there in part (`power`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch  # noqa: F401  # once, not in every fork

from owkd.config import Config
from search.execution.worker import work
from search.recorder import SearchRecorder
from search.runs.inputs import anchored
from search.runs.layout import trial_name
from search.runs.lock import lock_run
from search.runs.manifest import create, open_run
from search.schedulers import make_scheduler
from search.study.study import Study
from search.trials.job import Job, Message
from tests.chaos.driver import load, prepare, run_of
from tests.chaos.power import Disk
from tests.chaos.training import chained_run
from tests.chaos.whole import violations

TRIALS = 5
FATES = {1: "diverge", 2: "bad", 3: "out of memory"}
CUT = 137
"""exit status, as after SIGKILL"""
HALF_A_LINE = b'{"op_code":5,"worker_id":"'
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
OPERATIONS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate")


class _Stopped(BaseException):
    """The scheduler stopped a job."""


def drive(folder: Path) -> None:
    """Begins the search of a prepared folder, or goes on with it, without Ray and one job at a time."""
    run = run_of(folder)
    if (run / "run.yaml").is_file():
        opened, config, _ = open_run(run)
    else:
        config = anchored(load(folder), run.name)
        opened = create(run, config, {})
    with lock_run(opened):
        study = Study(opened.journal, opened.name, config)
        recorder = SearchRecorder(opened, config, study)
        _work_off(recorder, config, study)
        recorder.event_files.close()
        recorder.best_trials.keep_checkpoints()


def count(folder: Path) -> int:
    """How many operations on files a whole search takes."""
    seen = [0]
    _listen(folder, lambda _: seen.__setitem__(0, seen[0] + 1))
    drive(folder)
    return seen[0]


def cut(folder: Path, at: int, power: int | None = None) -> None:
    """Drives until just before the operation of that number (from 0), and ends there, without power where that is
    given; it draws what a disk keeps of what was not synced, nothing where it is 0."""
    left = [at]
    disk = None if power is None else Disk(folder / "runs")

    def tick(path: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            if path.endswith("study.journal"):
                with Path(path).open("ab") as journal:  # calls this function too, which does nothing then
                    journal.write(HALF_A_LINE)
            if disk is not None:
                disk.fail(random.Random(power) if power else None)
            os._exit(CUT)

    _listen(folder, tick)
    drive(folder)


def _work_off(recorder: SearchRecorder, config: Config, study: Study) -> None:
    past = [(trial_name(view.number), view.curve) for view in study.views()]
    scheduler = make_scheduler(config, past, recorder.gives_up, recorder.spares)
    while (job := recorder.next_job()) is not None:
        _do(job, recorder, scheduler)


def _do(job: Job, recorder: SearchRecorder, scheduler: Any) -> None:
    trial = type("Trial", (), {"config": {"key": job.key}, "trial_id": job.key})()
    scheduler.on_trial_add(None, trial)
    recorder.job_started(job.key)
    told: list[Message] = []

    def send(message: Message) -> None:
        told.append(message)
        decision = scheduler.on_trial_result(None, trial, asdict(message))
        recorder.message_received(message)
        if decision == "STOP":
            raise _Stopped

    with contextlib.suppress(_Stopped):
        work(asdict(job), train=chained_run, send=send)
    recorder.job_stopped(job.key, told[-1])


def _listen(folder: Path, heard: Callable[[str], None]) -> None:
    """Calls `heard` with the path before every operation of this process that changes something in `folder`."""
    root = str(folder / "runs")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in OPERATIONS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES)
        if changes and isinstance(arguments[0], str | os.PathLike):
            path = os.fspath(arguments[0])
            if path.startswith(root):
                heard(path)

    sys.addaudithook(hook)


def check(scratch: Path, *, first: int, every: int, power: int | None = None) -> tuple[int, int, list[str]]:
    """Cuts at each `every`-th operation from `first` on -> cuts made, operations there are, what was wrong then.

    `power` is the seed of power failures; every third leaves nothing but what was synced.
    """
    operations = int(_apart(lambda: str(count(_fresh(scratch / "counted"))))[1])
    found, cuts = [], 0
    for at in range(first, operations, every):
        folder = _fresh(scratch / str(at))
        mending = at % 19
        drawn = None if power is None else (power + at) * (cuts % 3 != 0)
        endings = [_apart(lambda: cut(folder, at, drawn))]  # noqa: B023
        endings.append(_apart(lambda: cut(folder, mending, drawn)))  # noqa: B023
        endings.append(_apart(lambda: drive(folder)))  # noqa: B023
        endings.append(_apart(lambda: "\n".join(violations(folder, trials=TRIALS, interrupted=set()))))  # noqa: B023
        texts = [text for _, text in endings if text]
        if [status for status, _ in endings] not in ([CUT, CUT, 0, 0], [CUT, 0, 0, 0]):
            texts.append(f"exit statuses {[status for status, _ in endings]}")
        found += [f"cut at {at}, then at {mending}: {text}" for text in texts]
        cuts += 1
        shutil.rmtree(folder)
    return cuts, operations, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="operation to begin with")
    parser.add_argument("--every", type=int, default=1, help="stride")
    parser.add_argument("--power", type=int, metavar="SEED", help="cut the power, not only the process")
    options = parser.parse_args()
    power = options.power
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        cuts, operations, found = check(Path(scratch), first=options.first, every=options.every, power=power)
    for text in found:
        print(text)
    print(
        f"{'FAILED' if found else 'passed'}: a driver without Ray, cut off {'with the power ' * (power is not None)}at "
        f"{cuts} of its {operations} operations on files, {len(found)} violations, {time.monotonic() - begun:.0f} s"
    )
    return 1 if found else 0


def _fresh(folder: Path) -> Path:
    prepare(folder, trials=TRIALS, seed=3, fates=FATES)
    return folder


def _apart(do: Callable[[], str | None]) -> tuple[int, str]:
    """Does something in a process of its own -> its exit status, and what it gave or raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status, text = 1, ""
        try:
            text = do() or ""
            status = 0
        except BaseException:
            text = traceback.format_exc()
        os.write(writing, text.encode()[:60_000])
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


if __name__ == "__main__":
    sys.exit(main())
