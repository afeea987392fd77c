"""What a search costs beside its trials: time on top of the training, time of a trivial trial, growth over thousands.

Training is a sleep here, so that everything else is ours: proposals, the study on disk, Parquet, event files, messages
between processes. Everything is written as in a real search.
"""

from __future__ import annotations

import gc
import io
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from benchmarks import measure

COMMAND = "python -m benchmarks.bench_search_overhead"
SLOTS = 2
KIB = 1024
METRICS = ("loss/total", "loss/identity", "val/mAP", "val/rank-1", "val/mINP", "val/center_accuracy")


@dataclass(frozen=True)
class Sizes:
    """How many trials of what length."""

    long_trials: int
    long_seconds: float
    trivial_trials: int
    marks: tuple[int, ...]
    """of the growth: numbers of finished trials at which it is looked"""


FULL = Sizes(12, 30.0, 200, (100, 500, 1000, 1500, 2000))
QUICK = Sizes(6, 2.0, 40, (20, 60, 100))


@dataclass(frozen=True)
class Mark:
    """The driver when so many trials were over."""

    trials: int
    wall_s: float
    processor_s: float
    resident: int
    """bytes of memory"""


@dataclass(frozen=True)
class Searched:
    """What one search took."""

    wall_s: float
    """of the search alone, with Ray running already"""
    training_s: float
    """the sum over all trials"""
    marks: tuple[Mark, ...]


def training(
    config: Any,
    report: Callable[[Any], None] | None = None,
    *,
    fold: str,
    directory: Path,
    seed: int | None = None,
    seconds: float = 0.0,
) -> Any:
    """Stands in for training: sleeps `seconds` in all, and reports like the real one."""
    epochs = config.train.epochs
    for epoch in range(1, epochs + 1):
        begun = time.perf_counter()
        if seconds:
            time.sleep(seconds / epochs)
        metrics = dict.fromkeys(METRICS, config.distill.gram * 1000) | {"duration_s": time.perf_counter() - begun}
        if report is not None:
            report(SimpleNamespace(fold=fold, seed=seed, epoch=epoch, metrics=metrics, replayed=False, note=""))


def searched(trials: int, seconds: float, epochs: int, sampler: str, marks: tuple[int, ...]) -> Searched:
    """One search in this process, which is looked at when `marks` trials are over."""
    from rich.console import Console

    from benchmarks.bench_search_overhead import training as by_name  # workers cannot look into this __main__
    from launch.connection import connection
    from owkd.config import parse_config
    from search import run_search as runner
    from search.recorder import SearchRecorder
    from search.results.tables import read_trials
    from search.trials.job import Message

    found: list[Mark] = []
    ended = 0

    class Watched(SearchRecorder):
        def job_stopped(self, key: str, last: Message) -> None:
            nonlocal ended
            super().job_stopped(key, last)
            ended += 1
            if ended in marks:
                gc.collect()
                found.append(Mark(ended, time.perf_counter(), time.process_time(), resident()))

    with tempfile.TemporaryDirectory(prefix="bench-search-") as folder, patch.object(runner, "SearchRecorder", Watched):
        config = parse_config(configuration(Path(folder), trials, epochs, sampler))
        work = runner.Work(partial(by_name, seconds=seconds), lambda config: {"data": {}, "teacher": {}})
        with connection(None)():
            begun = time.perf_counter()
            summary = runner.search(
                config, Path(folder) / "run", connect=nullcontext, console=Console(file=io.StringIO()), work=work
            )
            wall = time.perf_counter() - begun
        durations = read_trials(summary.folder.results)["duration_s"].to_pylist()
    assert len(durations) == trials
    return Searched(wall, sum(durations), tuple(found))


def configuration(folder: Path, trials: int, epochs: int, sampler: str) -> dict[str, Any]:
    """A search over eight parameters on two slots."""
    return {
        "name": "overhead",
        "data": {"root": str(folder), "dataset": "none"},
        "teacher": {"checkpoint": str(folder / "{fold}.safetensors")},
        "train": {"epochs": epochs},
        "search": {
            "trials": trials,
            "max_concurrent": SLOTS,
            "sampler": {"name": sampler, "seed": 0},
            "scheduler": {"name": "none"},
            "resources": {"cpu": 1, "gpu": 0},
            "space": {
                "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-3, "log": True},
                "distill.teacher_weights": {"type": "simplex"},
                "distill.stage_weights": {"type": "simplex"},
            },
        },
    }


def resident() -> int:
    """Memory of this process at this moment, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def report(sizes: Sizes) -> str:
    """All three measurements as text."""
    parts = [
        f"Wall-clock time, {SLOTS} slots, load of the machine at the start {os.getloadavg()[0]:.1f}.",
        _long(sizes),
        _trivial(sizes),
    ]
    columns = [_growth(sampler, sizes.marks) for sampler in ("random", "tpe")]
    return "\n\n".join([*parts, *columns])


def _long(sizes: Sizes) -> str:
    found, _ = measure.in_new_process(searched, sizes.long_trials, sizes.long_seconds, 5, "random", ())
    beside = found.wall_s - found.training_s / SLOTS
    share = beside / found.wall_s
    return (
        f"{sizes.long_trials} trials of {sizes.long_seconds:g} s: the search took {found.wall_s:.1f} s, their training "
        f"over {SLOTS} slots {found.training_s / SLOTS:.1f} s; **beside the training {beside:.1f} s, {share:.1%}** "
        "(target: below 5 %), the start of two workers included."
    )


def _trivial(sizes: Sizes) -> str:
    first = max(2, sizes.trivial_trials // 5)
    marks = (first, sizes.trivial_trials)
    found, _ = measure.in_new_process(searched, sizes.trivial_trials, 0.0, 1, "random", marks)
    begin, end = found.marks
    each = (end.wall_s - begin.wall_s) / (end.trials - begin.trials)
    return (
        f"{sizes.trivial_trials} trials that do nothing: {found.wall_s / sizes.trivial_trials:.3f} s each in all; "
        f"**{each:.3f} s each** (target: below 0.2 s) when the workers run."
    )


def _growth(sampler: str, marks: tuple[int, ...]) -> str:
    found, _ = measure.in_new_process(searched, marks[-1], 0.0, 1, sampler, marks)
    rows = []
    for before, after in zip(found.marks, found.marks[1:], strict=False):
        count = after.trials - before.trials
        rows.append(
            [
                f"{before.trials:,} to {after.trials:,}",
                measure.duration((after.wall_s - before.wall_s) / count),
                measure.duration((after.processor_s - before.processor_s) / count),
                f"{(after.resident - before.resident) / count / KIB:.1f} KiB",
            ]
        )
    whole = (found.marks[-1].resident - found.marks[0].resident) / (marks[-1] - marks[0]) / KIB
    head = f"Growth, sampler {sampler}: memory of the driver {whole:.1f} KiB a finished trial (target: below 50)."
    columns = ["trials that do nothing", "time each", "of it the driver's processor", "memory each"]
    return f"{head}\n\n{measure.table(columns, rows)}"


def main() -> None:
    """Command line."""
    arguments = measure.parser(__doc__ or "").parse_args()
    text = report(QUICK if arguments.quick else FULL)
    measure.publish("bench_search_overhead", text, measure.command(COMMAND, arguments), None, arguments.record)


if __name__ == "__main__":
    main()
