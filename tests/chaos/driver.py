"""The process that is killed: `python -m tests.chaos.driver FOLDER` begins the search of a prepared folder, or goes
on with it.

It is the real command line; only what trains, and what looks at the data first, are stand-ins.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import search.run_search
from launch.cli import run_command
from owkd.config import Config, load_config
from search.run_search import Work
from tests.chaos.training import chained_run
from tests.support.fake_training import fake_check, fake_config, make_plan

WORK = Work(chained_run, fake_check)
UP = "at a time"
"""what a driver has printed once Ray is there and its bookkeeping begins"""


def prepare(folder: Path, *, trials: int, seed: int, fates: dict[int, str], **changes: Any) -> Path:
    """Writes what a driver needs; `changes` are of the section `search` -> the run that it will make."""
    folder.mkdir(parents=True, exist_ok=True)
    make_plan(folder, {f"trial-{number:05d}": fate for number, fate in fates.items()})
    chosen = {
        "trials": trials,
        "max_concurrent": 2,
        "sampler": {"seed": seed},
        "scheduler": {"name": "asha", "grace_epochs": 2, "reduction_factor": 2},
        **changes,
    }
    raw = fake_config(folder, **chosen)
    raw["train"]["epochs"] = 6
    _file(folder).write_text(json.dumps(raw))  # JSON is YAML
    return run_of(folder)


def run_of(folder: Path) -> Path:
    """The run of a prepared folder."""
    return folder / "runs" / "fake"


def load(folder: Path) -> Config:
    """The configuration of a prepared folder, as a driver reads it."""
    return load_config(_file(folder))


def drive(folder: Path) -> int:
    """Begins the search, or goes on with it -> exit status."""
    search.run_search.OWKD = WORK
    run = run_of(folder)
    if (run / "run.yaml").is_file():
        return run_command(["resume", str(run)])
    return run_command(["search", str(_file(folder)), "--runs", str(run.parent)])


def _file(folder: Path) -> Path:
    return folder / "search.yaml"


if __name__ == "__main__":
    sys.exit(drive(Path(sys.argv[1])))
