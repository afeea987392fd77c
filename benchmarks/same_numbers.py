"""Whether this working tree computes the numbers of another commit, bit for bit: a move changes no number.

    python -m benchmarks.same_numbers COMMIT            small searches on synthetic images: minutes
    python -m benchmarks.same_numbers COMMIT --demo     the whole demo too
    python -m benchmarks.same_numbers --runs A B        two runs that are there already

Both sides are run through their own command line and read from their Parquet tables, so that modules may have any
name. Compared are the teacher's weights, each trial's parameters, every metric of every epoch and of every retrained
model that no clock and no memory gauge measured. The small searches train one trial at a time: each trial must be
there on both sides. In the demo, which trial ASHA stops and what is proposed next depend on which ends first, so only
trials with equal parameters are compared, as far as both came. Exit status 1 where a number differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.recorded_numbers import Compared, compare_runs, compare_teachers, read_run

ROOT = Path(__file__).parents[1]
SPACE = {
    "distill.teacher_weights": {"type": "simplex"},
    "distill.stage_weights": {"type": "simplex"},
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
    "distill.logit": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
    "train.images_per_identity": {"type": "categorical", "choices": [2, 4]},
}
SEARCHES: dict[str, dict[str, Any]] = {
    "gp": {"sampler": {"name": "gp"}, "scheduler": {"name": "none"}},
    "tpe": {
        "sampler": {"name": "tpe", "startup_trials": 2},
        "scheduler": {"name": "asha", "grace_epochs": 1, "reduction_factor": 2},
    },
}
"""by name; five trials each, one at a time, so that the same history is behind every proposal"""


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """A working tree of `commit` for as long as it is entered."""
    with tempfile.TemporaryDirectory(prefix="same-numbers-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def _owkd(tree: Path, *arguments: str) -> None:
    """One command of that tree's own command line."""
    code = "import owkd, sys, launch.cli; assert owkd.__file__.startswith(sys.path[1]); launch.cli.main()"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "OMP_NUM_THREADS": "1",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=tree, env=environment, check=True)


def _run_searches(tree: Path, folder: Path) -> None:
    """Every search of `SEARCHES` in `folder/runs`, on a data set and a teacher of its own."""
    _owkd(tree, "data", "synth", str(folder / "data"), "--identities", "16", "--images", "4", "--size", "32")
    for name, search in SEARCHES.items():
        config = folder / f"{name}.json"
        config.write_text(json.dumps(_configuration(name, folder, search)))  # JSON is YAML
        if not (folder / "teacher-Fold1.safetensors").exists():
            _owkd(tree, "teacher", "train", str(config), "--out", str(folder / "teacher-{fold}.safetensors"))
        _owkd(tree, "search", str(config), "--runs", str(folder / "runs"))
        _owkd(tree, "retrain", str(folder / "runs" / name))


def _configuration(name: str, folder: Path, search: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "data": {"root": str(folder / "data"), "dataset": "Synthetic_thermal", "image_size": 32},
        "teacher": {
            "checkpoint": str(folder / "teacher-{fold}.safetensors"),
            "preset": "nano",
            "backbones": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3},
            "gce": {"epochs": 2, "batch_size": 8},
        },
        "student": {"preset": "nano"},
        "train": {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, "device": "cpu", "threads": 1},
        "search": {
            "trials": 5,
            "max_concurrent": 1,
            "objectives": [{"reduction": "best"}],  # the default of early versions
            "resources": {"cpu": 1, "gpu": 0},
            "space": SPACE,
            **search,
        },
        "retrain": {"top_k": 1, "seeds": 1},
    }


def _print(title: str, results: Sequence[Compared]) -> bool:
    """-> whether numbers were compared and all are the same."""
    width = max(len(result.name) for result in results)
    print(f"\n{title}")
    for result in results:
        verdict = result.difference or ("equal" if result.values else "not compared: only one side has it")
        print(f"  {result.name:<{width}}  {result.values:>9,} numbers  {verdict}")
    return any(result.values for result in results) and not any(result.difference for result in results)


def main() -> int:
    """Prints a table -> exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", help="what to compare with")
    parser.add_argument("--demo", action="store_true", help="compare the demo too")
    parser.add_argument("--runs", nargs=2, type=Path, metavar=("A", "B"), help="compare these two runs instead")
    options = parser.parse_args()
    if (options.commit is None) == (options.runs is None):
        parser.error("name a commit, or --runs A B")
    if options.runs:
        before, now = options.runs
        same = _print(f"{before} -> {now}", compare_runs(read_run(before), read_run(now), every_trial=False))
        return 0 if same else 1
    with _checkout(options.commit) as tree, tempfile.TemporaryDirectory(prefix="same-numbers-") as scratch:
        return 0 if _compare_trees(tree, Path(scratch), options.commit, options.demo) else 1


def _compare_trees(tree: Path, scratch: Path, commit: str, demo: bool) -> bool:
    before, now = scratch / "before", scratch / "now"
    for side, code in ((before, tree), (now, ROOT)):
        side.mkdir()
        _run_searches(code, side)
        if demo:
            _owkd(code, "demo", "--out", str(side / "demo"))
    same = [_print(f"teacher, {commit} -> here", compare_teachers(before, now))]
    for name in SEARCHES:
        runs = [read_run(side / "runs" / name) for side in (before, now)]
        same.append(_print(f"search {name}, {commit} -> here", compare_runs(*runs, every_trial=True)))
    if demo:
        results = compare_teachers(before / "demo", now / "demo")
        runs = [read_run(side / "demo" / "runs" / "demo") for side in (before, now)]
        same.append(_print(f"demo, {commit} -> here", [*results, *compare_runs(*runs, every_trial=False)]))
    print("\nevery number is the same" if all(same) else "\nNUMBERS DIFFER")
    return all(same)


if __name__ == "__main__":
    sys.exit(main())
