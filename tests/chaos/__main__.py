"""Kills the drivers of searches at random moments on real Ray, and checks that nothing was lost: `make chaos`."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from search.results.tables import read_trials
from tests.chaos.driver import prepare, run_of
from tests.chaos.killing import Moment, known_epochs, members, start, wait_for, wait_until_gone
from tests.chaos.whole import violations

TRIALS = 12
EPOCH_S = 0.15
FATES = {2: "diverge", 4: "out of memory", 5: "crash once", 7: "bad", 8: "crash always"}
SCRIPT: tuple[Moment, ...] = ("start-up", "training", "mending", "training", "at once", "opening", "training", "ending")
"""of one search; the moments themselves are drawn"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=22, help="SIGKILLs of a whole driver")
    parser.add_argument("--seed", type=int, help="of the moments; drawn when not given")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"chaos: {options.kills} kills, --seed {seed}", flush=True)
    rng = random.Random(seed)
    begun = time.monotonic()
    problems: list[str] = []
    killed: Counter[str] = Counter()
    rounds = 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        while killed.total() < options.kills and rounds < options.kills:
            found = one_search(Path(scratch) / str(rounds), rng, rounds, options.kills, killed)
            rounds += 1
            print(f"search {rounds}: {'whole' if not found else f'{len(found)} violations'}", flush=True)
            problems += [f"search {rounds}: {text}" for text in found]
        found = softer_ends(Path(scratch) / "softer", rng)
        print(f"Ctrl-C and a killed worker: {'whole' if not found else f'{len(found)} violations'}", flush=True)
        problems += [f"Ctrl-C and a killed worker: {text}" for text in found]
    for text in problems:
        print(text)
    moments = ", ".join(f"{count} {moment}" for moment, count in killed.items())
    print(
        f"{'FAILED' if problems else 'passed'}: {killed.total()} kills ({moments}), one Ctrl-C, one killed worker in "
        f"{rounds + 1} searches of {TRIALS} trials, {len(problems)} violations, {time.monotonic() - begun:.0f} s"
    )
    return 1 if problems else 0


def one_search(folder: Path, rng: random.Random, index: int, wanted: int, killed: Counter[str]) -> list[str]:
    """One search, killed at the moments of the script until enough kills were made, then left to its end."""
    run = prepare(folder, trials=TRIALS, seed=index, fates=FATES)
    interrupted: set[int] = set()
    pids: list[int] = []
    for moment in moments(rng):
        if killed.total() == wanted:
            break
        driver = start(folder, EPOCH_S)
        pids.append(driver.pid)
        if not wait_for(driver, moment, rng, TRIALS):
            break
        driver.kill()
        killed[moment] += 1
        now = states(run)
        interrupted |= {number for number, state in now.items() if state == "running"}
        print(f"kill {killed.total():>3}: search {index + 1}, {moment} ({driver.seconds():.2f} s): {summary(run, now)}")
        sys.stdout.flush()
        if rng.random() < 0.5:  # otherwise the next driver meets what is left of this one
            wait_until_gone(driver.pid)
    return finish(folder, pids, interrupted)


def softer_ends(folder: Path, rng: random.Random) -> list[str]:
    """One worker killed as the kernel does when memory is short, and one Ctrl-C."""
    run = prepare(folder, trials=TRIALS, seed=99, fates=FATES)
    driver = start(folder, EPOCH_S)
    if not wait_for(driver, "training", rng, TRIALS):
        return [f"the search ended early:\n{driver.printed()}"]
    trial = kill_worker(folder)
    print(f"worker of trial {trial} killed ({driver.seconds():.2f} s): {summary(run, states(run))}", flush=True)
    wait_for(driver, "training", rng, TRIALS)
    problems = []
    if driver.ended:
        return [f"one killed worker ended the search:\n{driver.printed()}"]
    status = driver.kill(signal.SIGINT)
    now = states(run)
    print(f"Ctrl-C ({driver.seconds():.2f} s), exit {status}: {summary(run, now)}", flush=True)
    if status != 130 or f"owkd resume {run}" not in "".join(driver.printed().splitlines()):
        problems.append(f"Ctrl-C does not say how to go on; exit {status}:\n{driver.printed()}")
    if members(driver.pid):
        problems.append(f"Ctrl-C leaves {members(driver.pid)}")
    interrupted = {trial, *(number for number, state in now.items() if state == "running")}
    return problems + finish(folder, [driver.pid], interrupted)


def kill_worker(folder: Path) -> int:
    """Kills the process that began a trial last, of those that are under way -> that trial.

    Trials with a fate are passed over: one that diverges may be over before its worker is killed.
    """
    while True:
        now = states(run_of(folder))
        for line in reversed((folder / "data" / "workers.log").read_text().splitlines()):
            name, pid = line.split()
            number = int(name.removeprefix("trial-"))
            if now.get(number) == "running" and number not in FATES:
                os.kill(int(pid), signal.SIGKILL)
                return number
        time.sleep(0.05)


def finish(folder: Path, pids: list[int], interrupted: set[int]) -> list[str]:
    """Goes on to the end of the search -> what is wrong with it then."""
    driver = start(folder, EPOCH_S)
    status = driver.process.wait(300)
    found = [] if status == 0 else [f"the last driver ended with {status}:\n{driver.printed()}"]
    for pid in (*pids, driver.pid):
        if left := wait_until_gone(pid):
            found.append(f"of driver {pid} there are still {left}")
        if remains := [str(path) for path in Path("/tmp").glob(f"owkd-ray-{pid}-*")]:
            found.append(f"of driver {pid} there are still {remains}")
    return found or violations(folder, trials=TRIALS, interrupted=interrupted)


def moments(rng: random.Random) -> Iterator[Moment]:
    """The script, begun anywhere, over and over."""
    at = rng.randrange(len(SCRIPT))
    while True:
        yield SCRIPT[at % len(SCRIPT)]
        at += 1


def states(run: Path) -> dict[int, str]:
    return {row["trial"]: row["state"] for row in read_trials(run / "results").to_pylist()}


def summary(run: Path, now: dict[int, str]) -> str:
    if not now:
        return "no trial yet"
    counts = ", ".join(f"{count} {state}" for state, count in sorted(Counter(now.values()).items()))
    return f"{len(now)} of {TRIALS} trials: {counts}; {known_epochs(run)} epochs"


if __name__ == "__main__":
    sys.exit(main())
