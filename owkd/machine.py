"""CPUs and memory that this process may use, by affinity (taskset, Slurm) and control groups (containers).

`os.cpu_count`, psutil and torch see the whole machine. Of control groups both versions are read, each group and all
above it, for any of them may set a limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """What there is, and what may be used of it.

    Attributes:
        cpus: whole CPUs to use, at least 1
        all_cpus: of the machine
        affinity: CPUs that the process may run on
        quota: CPUs' worth of time that its control group gets; None without a limit
        memory: bytes to use, physical memory where there is no limit; None where neither is known
        memory_is_limited: by a control group
    """

    cpus: int
    all_cpus: int
    affinity: int
    quota: float | None
    memory: int | None
    memory_is_limited: bool

    def __str__(self) -> str:
        """For people: `1 of 8 CPUs (affinity), 4.0 GiB of memory (control group)`."""
        limits = ["affinity"] if self.affinity < self.all_cpus else []
        if self.quota is not None and self.quota < self.affinity:
            limits = [f"a control group gets the time of {self.quota:g}"]
        of_all = f" of {self.all_cpus}" if self.cpus < self.all_cpus else ""
        text = f"{self.cpus}{of_all} CPU{'s' * (max(self.cpus, self.all_cpus) > 1)}"
        text += f" ({limits[0]})" if limits else ""
        if self.memory is not None:
            text += f", {self.memory / GIB:.1f} GiB of memory" + " (control group)" * self.memory_is_limited
        return text


def this_machine(root: Path = Path("/")) -> Machine:
    """What this process may use now. `root`: of the file system that tells of control groups and memory."""
    affinity, all_cpus = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    groups = list(_groups(root))
    quota = min(filter(None, map(_cpu_quota, groups)), default=None)
    limit = min(filter(None, map(_memory_limit, groups)), default=None)
    physical = _physical_memory(root)
    is_limited = limit is not None and (physical is None or limit < physical)
    cpus = affinity if quota is None else min(affinity, int(quota))
    return Machine(max(1, cpus), all_cpus, affinity, quota, limit if is_limited else physical, is_limited)


def visible_gpus() -> str:
    """What hides GPUs from this process, for people; empty where nothing does."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if visible is None else f"GPUs: those of CUDA_VISIBLE_DEVICES={visible!r}"


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's control groups, and of all groups above them."""
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        # Version 2 has no controllers here; beside version 1 it is mounted in `unified`.
        names = (controllers, *controllers.split(",")) if controllers else (".", "unified")
        for mount in dict.fromkeys(mounts / name for name in names):
            # A container may see only its own group, as the root, while the path is that of the host.
            own = mount / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(mount) and folder.is_dir())


def _cpu_quota(group: Path) -> float | None:
    """CPUs' worth of time; None without a limit."""
    version_2 = _text(group / "cpu.max").split()
    quota, period = version_2 or (_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))
    quota_us, period_us = _number(quota), _number(period)
    return quota_us / period_us if quota_us and period_us else None


def _memory_limit(group: Path) -> int | None:
    """Bytes; None without a limit. Version 1 writes a number beyond any memory for none."""
    return _number(_text(group / "memory.max") or _text(group / "memory.limit_in_bytes"))


def _physical_memory(root: Path) -> int | None:
    lines = (line.split() for line in _text(root / "proc/meminfo").splitlines())
    return next((1024 * int(words[1]) for words in lines if words[0] == "MemTotal:"), None)


def _number(text: str) -> int | None:
    """A positive number, or None for what means no limit: `max`, -1, nothing."""
    return int(text) if text.strip().isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
