"""What OpenMP's threads cost where other processes want the same cores: one thread, and two that wait in three ways.

The backward pass of a depthwise convolution, the layer that a ConvNeXt spends most of its barriers in, beside as many
busy processes as there are cores. Threads that wait by spinning hold a core that nobody computes on.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import measure

COMMAND = "python -m benchmarks.bench_openmp"
SHAPE = (4, 96, 56, 56)
WAYS: dict[str, tuple[int, str | None]] = {
    "one thread": (1, None),
    "two threads, `OMP_WAIT_POLICY=PASSIVE` (what owkd sets)": (2, "PASSIVE"),
    "two threads, OpenMP's default": (2, None),
    "two threads, `OMP_WAIT_POLICY=ACTIVE`": (2, "ACTIVE"),
}
CHILD = """
import statistics, sys, time
import torch
threads, repeats = map(int, sys.argv[1:])
torch.set_num_threads(threads)
layer = torch.nn.Conv2d(96, 96, 7, padding=3, groups=96)
images = torch.rand({shape}, requires_grad=True)
seconds = []
for _ in range(repeats + 1):
    out = layer(images).sum()
    start = time.perf_counter()
    out.backward()
    seconds.append(time.perf_counter() - start)
print(statistics.median(seconds[1:]))
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


def one_pass(threads: int, policy: str | None, repeats: int) -> float:
    """Median wall-clock seconds of a backward pass, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    child = [sys.executable, "-c", CHILD.format(shape=SHAPE), str(threads), str(repeats)]
    done = subprocess.run(child, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measured(neighbours: int, rounds: int, repeats: int) -> dict[str, float]:
    """Median over the rounds, in each of which all ways have their turn."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    with busy(neighbours):
        for _ in range(rounds):
            for name, (threads, policy) in WAYS.items():
                found[name].append(one_pass(threads, policy, repeats))
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def section(rounds: int, repeats: int) -> str:
    """The table, on an idle machine and on a busy one."""
    cores = multiprocessing.cpu_count()
    alone, crowded = measured(0, rounds, repeats), measured(cores, rounds, repeats)
    base = crowded["one thread"]
    rows = [
        [name, measure.duration(alone[name]), measure.duration(crowded[name]), f"{crowded[name] / base:.1f}"]
        for name in WAYS
    ]
    columns = ["", "alone", f"beside {cores} busy processes", "of one thread's there"]
    return f"Medians of the wall clock over {rounds} rounds, shape {SHAPE}.\n\n" + measure.table(columns, rows)


def main() -> None:
    """Measures all ways; with --quick in one round."""
    arguments = measure.parser(__doc__ or "").parse_args()
    text = section(*((1, 2) if arguments.quick else (5, 5)))
    measure.publish("bench_openmp", text, measure.command(COMMAND, arguments), None, arguments.record)


if __name__ == "__main__":
    main()
