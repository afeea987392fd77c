"""What every benchmark shares: the machine, interleaved repeats, memory peaks of single processes, tables, the record.

Nothing is compared across runs: what a ratio compares was measured in turns within one run. Times are those of the
processor, not of the wall clock, wherever one thread computes, so that other processes disturb them little.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "RESULTS.md"
MIB = 2**20
CLOCK = "Times are medians, of the processor where one thread computes, else of the wall clock."


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate's repeats."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the repeats."""
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        """The fastest repeat: what is left when nothing disturbs it."""
        return min(self.seconds)


def clock() -> float:
    """Seconds by `CLOCK`: of the processor while torch computes with one thread, of the wall otherwise."""
    import torch

    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time() if alone else time.perf_counter()


def interleaved(candidates: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, Timing]:
    """Times the candidates in turns, so that a disturbance of the machine falls on all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-warm_up, repeats):
        for name, candidate in candidates.items():
            start = clock()
            candidate()
            if turn >= 0:
                seconds[name].append(clock() - start)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def in_new_process(function: Callable[..., Any], *arguments: object) -> tuple[Any, int]:
    """What a function of this package returns in a process of its own, and that process' memory peak in bytes."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result: tuple[Any, int] = pool.submit(_with_peak, function, *arguments).result()
    return result


def _with_peak(function: Callable[..., Any], *arguments: object) -> tuple[Any, int]:
    return function(*arguments), memory_peak()


def memory_peak() -> int:
    """Largest resident memory of this process so far, in bytes.

    Linux lets a new process inherit `ru_maxrss` from whoever started it, so its own high-water mark is read instead.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that all benchmarks take."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, says little of speed")
    arguments.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    arguments.add_argument("--record", action="store_true", help="put the output into benchmarks/RESULTS.md")
    return arguments


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def command(base: str, arguments: argparse.Namespace) -> str:
    """The command line that repeats a measurement."""
    switches = [
        f"--{name.replace('_', '-')}" for name, value in vars(arguments).items() if value is True and name != "record"
    ]
    return " ".join([base, *switches, *([f"--threads {arguments.threads}"] if arguments.threads != 1 else [])])


def duration(seconds: float) -> str:
    """Seconds, or milliseconds below one."""
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def machine(threads: int | None = None) -> str:
    """One line: processor, cores, threads in use, memory, GPU, versions."""
    import torch

    parts = [f"{processor()}, {multiprocessing.cpu_count()} cores"]
    if threads is not None:
        parts.append(f"{threads} torch threads")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return ", ".join([*parts, gpu, versions])


def processor() -> str:
    """The processor's name, and the matrix and bfloat16 instructions that it has."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    fields: dict[str, str] = {}
    for line in info.read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = fields.get("flags", "").split()
    named = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return " ".join([fields.get("model name", platform.machine()), *(["with", *named] if named else [])])


def has_fast_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 products."""
    return any(name in processor() for name in ("avx512_bf16", "amx_bf16"))


def publish(name: str, text: str, command: str, threads: int | None, record: bool) -> str:
    """Prints a benchmark's section, and with `record` puts it in the place of its last one in RESULTS.md."""
    section = "\n\n".join(
        [
            f"## {name}",
            f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, owkd {version('owkd')}; {machine(threads)}.",
            text.strip(),
        ]
    )
    print(section)
    if record:
        RESULTS.write_text(replaced(RESULTS.read_text(encoding="utf-8"), name, section), encoding="utf-8")
    return section


def replaced(page: str, name: str, section: str) -> str:
    """The page with the section of this name exchanged, or added before the log where there is none."""
    before, *sections = page.split("\n## ")
    by_name = {part.split("\n", 1)[0].strip(): part.rstrip() for part in sections}
    by_name[name] = section.removeprefix("## ").rstrip()
    log = by_name.pop("Tried and dropped", None)
    parts = [before.rstrip(), *by_name.values(), *([log] if log is not None else [])]
    return "\n\n## ".join(parts) + "\n"
