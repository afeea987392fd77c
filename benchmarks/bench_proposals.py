"""What a proposal of `auto` costs, by how many trials there are, and how long slots that come free at once wait.

Trainings are formulas (twelve parameters with choices and conditions), two of three of which are stopped early; no
time passes in them. Then 64 slots come free at once: each of 64 running trials tells its last epoch and ends, and
another one is asked for, as a driver does it. The journal is on the disk, and synced as always; NumPy has one thread,
as under `owkd`.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks import measure
from benchmarks.landscapes import LANDSCAPES, Landscape
from benchmarks.landscapes.contract import MAP
from search.study.study import Study
from search.trials.view import Ending, Proposal

COMMAND = "python -m benchmarks.bench_proposals"
TRIALS, QUICK = (100, 300, 1000, 3000), (20, 50)
SLOTS = 64
STEPS = (2, 6, 18)


@dataclass(frozen=True)
class Waits:
    """Seconds until each slot had a new trial, of the wall clock and of the processor."""

    wall: list[float]
    processor: list[float]


def report(trials: tuple[int, ...], slots: int = SLOTS) -> str:
    """The section."""
    load = f"Load of the machine: {os.getloadavg()[0]:.1f} at the start"
    rows = []
    for number in trials:
        waits = measured(number, slots)
        figures = (statistics.median(waits.processor), max(waits.processor), sum(waits.processor), sum(waits.wall))
        rows.append([f"{number:,}", *map(measure.duration, figures)])
    all_slots = f"{slots} slots that come free at once"
    columns = ["trials that are over", "one proposal, median", "the longest", all_slots, "by the wall clock"]
    load += f", {os.getloadavg()[0]:.1f} at the end. Times are those of the processor, but for the last column."
    return f"{load}\n\n{measure.table(columns, rows)}"


def measured(trials: int, slots: int) -> Waits:
    """How long each slot waits beside so many trials that are over."""
    land = LANDSCAPES["conditional"].drawn(0)
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study.journal", "bench", land.configuration(0, "random"))
        running = [proposal for _ in range(trials + slots) if (proposal := study.next())]
        curves = [begin(study, land, proposal) for proposal in running]
        for proposal, curve in list(zip(running, curves, strict=True))[:trials]:
            end(study, proposal, curve)
        study.config = land.configuration(0)  # from here on by the sampler that is measured
        waits = Waits([], [])
        for proposal, curve in list(zip(running, curves, strict=True))[trials:]:
            wall, processor = time.perf_counter(), time.process_time()
            end(study, proposal, curve)
            study.next()
            waits.wall.append(time.perf_counter() - wall)
            waits.processor.append(time.process_time() - processor)
    return waits


def begin(study: Study, land: Landscape, proposal: Proposal) -> list[float]:
    """Tells all epochs of a trial but the last one -> all of them: one of three trials comes to its end."""
    study.started(proposal.number)
    if proposal.fixed is not None:  # without distillation there is no such training here
        return []
    told = [epoch[MAP] for epoch in land.told(proposal.values, land.folds[0], 0)]
    curve = [value for value in told if value == value][: STEPS[proposal.number % 3]]
    for step, value in enumerate(curve[:-1], start=1):
        study.report(proposal.number, step, value)
    return curve


def end(study: Study, proposal: Proposal, curve: Sequence[float]) -> None:
    """Tells the last epoch, and how the trial ended."""
    if not curve:
        study.finish(proposal.number, Ending("error"))
        return
    study.report(proposal.number, len(curve), curve[-1])
    study.finish(proposal.number, Ending("complete" if len(curve) == STEPS[-1] else "pruned"))


def main() -> None:
    """Command line."""
    arguments = measure.parser(__doc__ or "").parse_args()
    text = report(QUICK, 4) if arguments.quick else report(TRIALS)
    measure.publish("bench_proposals", text, measure.command(COMMAND, arguments), None, arguments.record)


if __name__ == "__main__":
    main()
