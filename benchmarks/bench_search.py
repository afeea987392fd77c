"""Our search against everybody's on landscapes with a known optimum, with equal budget, slots and first trial.

Seeds from 0 on, and from 200 on (`--first-seed 200`), are for choosing between variants of ours, those from 100 on
(`--report`) for reporting, and nobody chooses by them. `--rivals` names who takes part, the first of them compared
with the others; `owkd SAMPLER, SCHEDULER` is ours with another sampler or scheduler, such as `owkd gp, none`. With
`--keep FILE` every search that is over is appended to that file, and one that stands there is not run again;
`--kept-only` runs none, and compares what stands there, on the seeds that both rivals have.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks import measure
from benchmarks.landscapes import LANDSCAPES
from benchmarks.rivals import Outcome, can_search, installed_rivals, rival
from benchmarks.rivals.ledger import as_json, from_json
from benchmarks.search_figures import Figures, Task, line, report

COMMAND = "python -m benchmarks.bench_search"
CHOOSING, REPORTING = 0, 100
"""the first seed of each kind"""
SEEDS, QUICK_SEEDS = 20, 2


def one_search(task: Task) -> Outcome:
    """By landscape, rival and seed, in this process."""
    landscape, name, seed = task
    return rival(name)(LANDSCAPES[landscape].drawn(seed))


def all_searches(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Outcome]]:
    """As they come to their ends, over so many processes of one thread each."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(one_search, task): task for task in tasks}
        for done in as_completed(running):
            yield running[done], done.result()


def kept(file: Path | None) -> dict[Task, Outcome]:
    """What stands in a file of earlier searches."""
    if file is None or not file.exists():
        return {}
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {(each["landscape"], each["rival"], each["seed"]): from_json(each["outcome"]) for each in lines}


def run(tasks: Sequence[Task], jobs: int, file: Path | None) -> dict[Task, Outcome]:
    """Every search, those of the file taken from there."""
    known = kept(file)
    missing = [task for task in tasks if task not in known]
    for task, outcome in all_searches(missing, jobs):
        known[task] = outcome
        if file is not None:
            landscape, name, seed = task
            entry = {"landscape": landscape, "rival": name, "seed": seed, "outcome": as_json(outcome)}
            with file.open("a", encoding="utf-8") as kept_file:
                kept_file.write(json.dumps(entry) + "\n")
    return {task: known[task] for task in tasks}


def tasks_of(landscapes: Sequence[str], rivals: Sequence[str], seeds: Sequence[int]) -> list[Task]:
    """Seed by seed, so that a table of fewer seeds is there early."""
    return [
        (landscape, name, seed)
        for seed in seeds
        for landscape in landscapes
        for name in rivals
        if can_search(name, LANDSCAPES[landscape])
    ]


def section(found: Mapping[Task, Outcome], rivals: Sequence[str]) -> str:
    """A line for each landscape and rival on the terminal, then the tables."""
    figures = Figures(found, rivals)
    for landscape in figures.landscapes:
        for name in rivals:
            if figures.lost(landscape, name):
                print(line(figures, landscape, name))
    return report(figures)


def main() -> None:
    """Command line."""
    parser = measure.parser(__doc__ or "")
    parser.add_argument("--report", action="store_true", help=f"on seeds from {REPORTING} on, which nobody chooses by")
    parser.add_argument("--first-seed", type=int, metavar="SEED", help="in place of either of these")
    parser.add_argument("--seeds", type=int, help=f"searches of each (default: {SEEDS}; quick: {QUICK_SEEDS})")
    parser.add_argument("--rivals", nargs="+", metavar="NAME", help="default: everybody who is installed")
    parser.add_argument("--landscapes", nargs="+", choices=LANDSCAPES, default=list(LANDSCAPES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="of searches that need not be run again")
    parser.add_argument("--kept-only", action="store_true", help="compare those, and run no other")
    arguments = parser.parse_args()
    if arguments.kept_only and arguments.keep is None:
        parser.error("--kept-only needs --keep FILE")
    number = arguments.seeds or (QUICK_SEEDS if arguments.quick else SEEDS)
    first = REPORTING if arguments.report else CHOOSING
    first = first if arguments.first_seed is None else arguments.first_seed
    rivals = arguments.rivals or installed_rivals()
    tasks = tasks_of(arguments.landscapes, rivals, range(first, first + number))
    if arguments.kept_only:
        known = kept(arguments.keep)
        tasks = [task for task in tasks if task in known]
    text = section(
        run(tasks, arguments.jobs, arguments.keep), [name for name in rivals if any(name in t for t in tasks)]
    )
    command = measure.command(COMMAND, arguments) + (f" --seeds {arguments.seeds}" if arguments.seeds else "")
    command += "" if arguments.first_seed is None else f" --first-seed {first}"
    measure.publish("bench_search", text, command, None, arguments.record)


if __name__ == "__main__":
    main()
