"""The whole question in its stages, each of which goes on where it was stopped, and how long they took.

<out>/evidence.yaml    the configuration with its paths under `out`, which every other command can use as it is
<out>/data/            Omniglot, laid out twice: what students see, and what the teachers learn from
<out>/teacher-*        the teacher of each fold
<out>/runs/evidence/   the run: search, control, final stage, report.html
<out>/log.json         the processor, and the seconds of the wall clock that each stage took, all calls together
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path

import yaml

from benchmarks.evidence.omniglot import write_omniglot
from benchmarks.measure import machine
from launch.configuration import load_checked
from launch.driver import run_resume, run_retrain, run_search
from launch.train import train_teachers
from owkd.config import Config, with_values
from owkd.errors import UserError
from owkd.files import written_whole
from search.report import write_report

CONFIG = Path(__file__).parent / "evidence.yaml"
STAGES = ("data", "teachers", "search", "retrain", "report")
LOG = "log.json"
DRAWERS = range(1, 9)
"""whose drawings students see"""
TEACHERS_DRAWERS = range(1, 21)
"""whose drawings the teachers learn from, of the same characters: they must know more than a student can learn"""
TEACHERS_DATASET = "Omniglot20_thermal"


@dataclass
class Log:
    """What a command that is called several times remembers.

    Attributes:
        machines: on which it ran, in words
        seconds: of the wall clock, by stage; without those of a call that was killed
    """

    machines: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def go_through(out: Path, *, until: str = STAGES[-1], config: Path = CONFIG) -> Path:
    """Goes through the stages up to `until`, under `out` -> the run's folder.

    Raises `UserError` when `out` was begun with another configuration.
    """
    planned = written_config(out, config)
    run = out / "runs" / planned.name
    stages: dict[str, Callable[[], object]] = {
        "data": lambda: _write_data(planned),
        "teachers": lambda: _train_teachers(planned),
        "search": lambda: run_resume(run) if run.exists() else run_search(planned, run.parent),
        "retrain": lambda: run_retrain(run),
        "report": lambda: write_report(run),
    }
    for stage in STAGES[: STAGES.index(until) + 1]:
        with _timed(out, stage):
            stages[stage]()
    return run


def read_log(out: Path) -> Log:
    """Where the stages ran so far, and how long they took."""
    path = out / LOG
    return Log(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Log()


def written_config(out: Path, config: Path) -> Config:
    """The configuration with its paths under `out`, written there and checked. Raises `UserError`."""
    path = out / "evidence.yaml"
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    raw["data"]["root"] = str((out / raw["data"]["root"]).absolute())
    raw["teacher"]["checkpoint"] = str((out / raw["teacher"]["checkpoint"]).absolute())
    text = yaml.safe_dump(raw, sort_keys=False)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UserError(
            f"{path} must hold the configuration of {config}, but was begun with another one; remove {out} or name "
            "another --out"
        )
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return load_checked(path)


def _write_data(config: Config) -> None:
    write_omniglot(config.data.root, config.data.dataset, DRAWERS)
    write_omniglot(config.data.root, TEACHERS_DATASET, TEACHERS_DRAWERS)


def _train_teachers(config: Config) -> None:
    """Of every fold that has none yet, side by side: each takes one thread."""
    missing = [fold for fold in config.fold_names() if not config.teacher.checkpoint_for(fold).exists()]
    if missing:
        with ProcessPoolExecutor(len(missing), mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(_train_teacher, repeat(config), missing))


def _train_teacher(config: Config, fold: str) -> None:
    ours = with_values(config, {"data.folds": [fold], "data.dataset": TEACHERS_DATASET})
    train_teachers(ours, str(config.teacher.checkpoint_for(fold)))


@contextmanager
def _timed(out: Path, stage: str) -> Iterator[None]:
    """Adds what the block takes to the log, also when it is stopped."""
    start = time.monotonic()
    try:
        yield
    finally:
        log = read_log(out)
        log.seconds[stage] = log.seconds.get(stage, 0.0) + time.monotonic() - start
        if (here := machine()) not in log.machines:
            log.machines.append(here)
        with written_whole(out / LOG) as temporary:
            temporary.write_text(json.dumps(asdict(log), indent=2), encoding="utf-8")
