"""What a proposal of `auto` costs, by how many trials there are, and how long slots that come free at once wait.

Trainings are formulas (twelve parameters with choices and conditions), two of three of which are stopped early; no
time passes in them. Then 64 slots come free at once: each of 64 running trials ends, and another one is asked for, as a
driver does it. The journal is on the disk, and synced as always.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import measure
from benchmarks.landscapes import LANDSCAPES, Landscape
from benchmarks.landscapes.contract import MAP
from search.study.study import Study
from search.trials.view import Ending, Proposal

COMMAND = "python -m benchmarks.bench_proposals"
TRIALS, QUICK = (100, 300, 1000, 3000), (20, 50)
SLOTS = 64
STEPS = (2, 6, 18)


def report(trials: tuple[int, ...], slots: int = SLOTS) -> str:
    """The section."""
    rows = []
    for number in trials:
        took = measured(number, slots)
        rows.append([f"{number:,}", *(measure.duration(s) for s in (statistics.median(took), max(took), sum(took)))])
    columns = ["trials that are over", "one proposal, median", "the longest", f"{slots} slots that come free at once"]
    return measure.table(columns, rows)


def measured(trials: int, slots: int) -> list[float]:
    """Seconds until each slot has a new trial, beside so many trials that are over."""
    land = LANDSCAPES["conditional"].drawn(0)
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study.journal", "bench", land.configuration(0, "random"))
        running = [proposal for _ in range(trials + slots) if (proposal := study.next())]
        for proposal in running[:trials]:
            end(study, land, proposal)
        study.config = land.configuration(0)  # from here on by the sampler that is measured
        took = []
        for proposal in running[trials:]:
            begun = time.perf_counter()
            end(study, land, proposal)
            study.next()
            took.append(time.perf_counter() - begun)
    return took


def end(study: Study, land: Landscape, proposal: Proposal) -> None:
    """Tells how a trial went: one of three to its end."""
    study.started(proposal.number)
    if proposal.fixed is not None:  # without distillation there is no such training here
        study.finish(proposal.number, Ending("error"))
        return
    last = STEPS[proposal.number % 3]
    told = [epoch[MAP] for epoch in land.told(proposal.values, land.folds[0], 0)]
    sound = [value for value in told if value == value][:last]
    for step, value in enumerate(sound, start=1):
        study.report(proposal.number, step, value)
    study.finish(proposal.number, Ending("complete" if len(sound) == STEPS[-1] else "pruned"))


def main() -> None:
    """Command line."""
    arguments = measure.parser(__doc__ or "").parse_args()
    text = report(QUICK, 4) if arguments.quick else report(TRIALS)
    measure.publish("bench_proposals", text, measure.command(COMMAND, arguments), None, arguments.record)


if __name__ == "__main__":
    main()
