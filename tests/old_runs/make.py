"""Makes the runs of an older version that `tests/search/runs/test_old_runs.py` opens: `python tests/old_runs/make.py`.

The searches are the real command line of that version; what trains is the stand-in of its own tests (`chaos.driver`).
Each is interrupted while trials run. Paths in run.yaml and in the study become `/FOLDER`, which a test fills in.
Runs that are there already are kept: what an older version wrote is a fact, and is made once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

VERSION, COMMIT = "0.1.0", "c2a9f2703bf37d3f1b9049266ac49283ae50a17a"
HERE = Path(__file__).parent
CHECKOUT = Path("/tmp/old-owkd")
FOLDER = Path("/tmp/old-runs")
PLACEHOLDER = "/FOLDER"

TRIALS = 10
LAST_SEEN = "trial-00007"
"""a search is interrupted when this trial has an epoch"""
FATES = {2: "diverge", 3: "crash always", 4: "bad", 5: "refuse", 6: "out of memory"}
WEIGHTS = {
    "distill.gram": {"type": "float", "low": 2e-5, "high": 9e-4, "log": True},
    "distill.teacher_weights": {"type": "simplex"},
    "distill.stage_weights": {"type": "simplex"},
}
EVERY_KIND = {
    **WEIGHTS,
    "distill.logit": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25},
    "distill.spectrum": {"type": "fixed", "value": 1e-3},
    "train.epochs": {"type": "int", "low": 6, "high": 8},
    "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"]},
    "distill.temperature": {"type": "float", "low": 1.0, "high": 6.0, "when": {"train.precision": "bf16"}},
}
TWO_OBJECTIVES = {
    "objectives": [{"metric": "val/mAP"}, {"metric": "val/rank-1"}],
    "constraints": ["val/mINP >= 0.3"],
}
RUNS: dict[str, dict[str, Any]] = {
    "auto": {"data": {"folds": ["Fold1", "Fold2"]}, "search": {"space": WEIGHTS}},
    "tpe": {"search": {"sampler": {"name": "tpe"}, "scheduler": {"name": "hyperband"}, "space": EVERY_KIND}},
    "cmaes": {"search": {"sampler": {"name": "cmaes"}, "scheduler": {"name": "median"}, "seeds": [0, 1]}},
    "nsga2": {"search": {"sampler": {"name": "nsga2"}, "scheduler": {"name": "none"}, **TWO_OBJECTIVES}},
    "random": {"search": {"sampler": {"name": "random"}, "give_up_margin": None}},
}
"""what differs from the defaults"""
FINISHED = "finished"
"""the archive of a run that was resumed to its end and has a final stage"""
FINAL_STAGE = """
import sys
from contextlib import nullcontext
from pathlib import Path

import ray
from fake_training import fake_evaluate, fake_run
from rich.console import Console

from search.retrain import FinalWork, retrain

ray.init(num_cpus=2, include_dashboard=False)
run = Path(sys.argv[1]) / "runs" / "fake"
work = FinalWork(fake_run, fake_evaluate)
retrain(run, connect=nullcontext, console=Console(), work=work)
"""


def main() -> None:
    subprocess.run(["git", "worktree", "add", "--detach", CHECKOUT, COMMIT], cwd=HERE, check=True)
    try:
        for name, changes in RUNS.items():
            archive = HERE / VERSION / f"{name}.tar.gz"
            if not archive.exists():
                _interrupted_search(FOLDER / name, changes)
                _keep(FOLDER / name, archive)
        archive = HERE / VERSION / f"{FINISHED}.tar.gz"
        if not archive.exists():
            _interrupted_search(FOLDER / FINISHED, {**RUNS["random"], "retrain": {"top_k": 2, "seeds": 3}})
            _final_stage(FOLDER / FINISHED)
            _keep(FOLDER / FINISHED, archive)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", CHECKOUT], cwd=HERE, check=True)
        shutil.rmtree(FOLDER, ignore_errors=True)


def _interrupted_search(folder: Path, changes: dict[str, Any]) -> None:
    """A search in `folder/runs/fake`, stopped by one Ctrl-C."""
    data = folder / "data"
    data.mkdir(parents=True)
    fates = {f"trial-{number:05d}": fate for number, fate in FATES.items()}
    (data / "plan.json").write_text(json.dumps(fates))
    (folder / "search.yaml").write_text(json.dumps(_configuration(folder, changes)))
    with subprocess.Popen(_driver(folder), cwd=CHECKOUT, env=_environment(0.4), start_new_session=True) as driver:
        trained = data / "trained.log"
        while not trained.exists() or LAST_SEEN not in trained.read_text():
            if driver.poll() is not None:
                raise RuntimeError(f"the search of {folder} ended with {driver.returncode} before it was interrupted")
            time.sleep(0.05)
        driver.send_signal(signal.SIGINT)


def _final_stage(folder: Path) -> None:
    """The search to its end, and its final stage."""
    (folder / "data" / "toy" / "Fold1" / "test").mkdir(parents=True)
    for command in (_driver(folder), [sys.executable, "-c", FINAL_STAGE, str(folder)]):
        subprocess.run(command, cwd=CHECKOUT, env=_environment(0.0), check=True)


def _driver(folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.chaos.driver", str(folder)]


def _environment(epoch_s: float) -> dict[str, str]:
    """Of a process that runs the old version; epoch_s: how long an epoch of the stand-in takes."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (CHECKOUT / "tests", CHECKOUT))),
        "FAKE_EPOCH_S": str(epoch_s),
        "OMP_NUM_THREADS": "1",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _configuration(folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    search = {"trials": TRIALS, "max_failures": 1, "max_concurrent": 2, "resources": {"cpu": 1, "gpu": 0}}
    return {
        "name": "fake",
        "data": {"root": str(folder / "data"), "dataset": "toy", **changes.get("data", {})},
        "teacher": {"checkpoint": str(folder / "teacher-{fold}.safetensors")},
        "train": {"epochs": 6},
        "search": {"space": WEIGHTS, **search, **changes["search"]},
        "retrain": changes.get("retrain", {}),
    }


def _keep(made: Path, archive: Path) -> None:
    """Packs run and data, without the paths of this machine where a resumed search reads them.

    Into one file: what rewrites this repository's text, a renaming for one, must not rewrite what an old version wrote.
    """
    run = made / "runs" / "fake"
    for file in (run / "run.yaml", run / "study.journal"):
        file.write_text(file.read_text().replace(str(made), PLACEHOLDER))
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(run, "runs/fake")
        packed.add(made / "data", "data")


if __name__ == "__main__":
    main()
