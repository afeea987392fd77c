"""What a proposal of `auto` costs, by how many trials there are, and how long slots that come free at once wait.

Trainings are formulas (`benchmarks.landscapes`, twelve parameters with choices and conditions); trials are told as over
without being trained, two of three stopped after a few epochs. Then 64 slots come free: each of 64 running trials
ends, and a new one is asked for, as a driver does it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import measure
from benchmarks.landscapes import LANDSCAPES, Landscape
from search.study.study import Study
from search.trials.view import Ending, Proposal

COMMAND = "python -m benchmarks.bench_proposals"
TRIALS = (100, 300, 1000, 3000)
SLOTS = 64
STEPS = (2, 6, 18)


def report(trials: tuple[int, ...] = TRIALS) -> str:
    """The section."""
    rows = []
    for number in trials:
        one, burst = measured(number)
        rows.append([f"{number:,}", measure.duration(one), measure.duration(burst)])
    return measure.table(
        ["trials that are over", "one proposal, median", f"{SLOTS} slots that come free at once"], rows
    )


def measured(trials: int) -> tuple[float, float]:
    """Seconds of one proposal beside so many trials, and until all slots have a new trial."""
    land = LANDSCAPES["conditional"].drawn(0)
    config = land.configuration(0, "random")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        study = Study(Path(folder) / "study.journal", "bench", config)
        running = [proposal for _ in range(trials + SLOTS) if (proposal := study.next())]
        for proposal in running[:trials]:
            _end(study, land, proposal)
        study.config = land.configuration(0)  # from here on by the sampler that is measured
        took = []
        for proposal in running[trials:]:
            begun = time.perf_counter()
            _end(study, land, proposal)
            study.next()
            took.append(time.perf_counter() - begun)
    return statistics.median(took), sum(took)


def _end(study: Study, land: Landscape, proposal: Proposal) -> None:
    """Tells how a trial went: every ninth and a third of the others to their end."""
    study.started(proposal.number)
    if proposal.fixed is not None:  # without distillation there is no such training here
        study.finish(proposal.number, Ending("error"))
        return
    last = STEPS[min(proposal.number % 3, 2)] if proposal.number % 9 else STEPS[-1]
    curve = land.told(proposal.values, land.folds[0], 0)
    values = [epoch["val/mAP"] for epoch in curve[:last]]
    for step, value in enumerate(values, start=1):
        if value == value:
            study.report(proposal.number, step, value)
    whole = last == STEPS[-1] and len(values) == last and values[-1] == values[-1]
    study.finish(proposal.number, Ending("complete" if whole else "pruned"))
