"""Affinity and control groups are read, each against files as Linux writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from owkd.machine import this_machine

GIB = 2**30
NO_LIMIT_1 = str(2**63 - 4096)
"""what version 1 has where memory is not limited"""

MEMORY = {"proc/meminfo": f"MemTotal: {16 * 1024**2} kB\nMemFree: 1 kB\n"}
HOST_2 = {"proc/self/cgroup": "0::/slurm/job_7/step_0\n", **MEMORY}
STEP_2 = "sys/fs/cgroup/slurm/job_7/step_0/"
JOB_2 = "sys/fs/cgroup/slurm/job_7/"
HOST_1 = {"proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/\n", **MEMORY}
CPU_1 = "sys/fs/cgroup/cpu,cpuacct/"

CASES: dict[str, tuple[dict[str, str], int, int]] = {
    "no control group": (MEMORY, 8, 16),
    "no limit": ({**HOST_2, STEP_2 + "cpu.max": "max 100000", STEP_2 + "memory.max": "max"}, 8, 16),
    "a container": ({**MEMORY, "proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2, 16),
    "a limit above": ({**HOST_2, STEP_2 + "cpu.max": "max 100000", JOB_2 + "cpu.max": "350000 100000"}, 3, 16),
    "the lowest of several": (
        {**HOST_2, STEP_2 + "memory.max": str(8 * GIB), JOB_2 + "memory.max": str(4 * GIB)},
        8,
        4,
    ),
    "less than one CPU": ({**HOST_2, STEP_2 + "cpu.max": "50000 100000"}, 1, 16),
    "more than there is": (
        {**HOST_2, STEP_2 + "cpu.max": "9900000 100000", STEP_2 + "memory.max": str(64 * GIB)},
        8,
        16,
    ),
    "version 1": (
        {
            **HOST_1,
            CPU_1 + "docker/abc/cpu.cfs_quota_us": "400000",
            CPU_1 + "docker/abc/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": str(2 * GIB),
        },
        4,
        2,
    ),
    "version 1, seen from inside": (
        {
            **HOST_1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "600000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(3 * GIB),
        },
        6,
        3,
    ),
    "version 1 without limits": (
        {
            **HOST_1,
            CPU_1 + "cpu.cfs_quota_us": "-1",
            CPU_1 + "cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_1,
        },
        8,
        16,
    ),
    "version 2 beside version 1": (
        {
            **MEMORY,
            "proc/self/cgroup": "4:memory:/x\n0::/y\n",
            "sys/fs/cgroup/unified/y/cpu.max": "500000 100000",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": str(5 * GIB),
        },
        5,
        5,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_control_groups_limit_a_machine_of_8_cpus(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, cpus, memory = CASES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    machine = this_machine(tmp_path)
    assert (machine.cpus, machine.memory) == (cpus, memory * GIB)
    assert machine.memory_is_limited == (memory < 16)


@pytest.mark.parametrize(
    ("affinity", "files", "words"),
    [
        (8, MEMORY, "8 CPUs, 16.0 GiB of memory"),
        (1, MEMORY, "1 of 8 CPUs (affinity), 16.0 GiB of memory"),
        (
            4,
            {**HOST_2, STEP_2 + "cpu.max": "150000 100000", STEP_2 + "memory.max": str(GIB)},
            "1 of 8 CPUs (a control group gets the time of 1.5), 1.0 GiB of memory (control group)",
        ),
    ],
)
def test_a_machine_says_what_limits_it(affinity, files, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)))
    assert str(this_machine(tmp_path)) == words


def test_a_real_process_on_one_cpu_sees_one() -> None:
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}})\nfrom owkd.machine import *\nprint(this_machine().cpus)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "1"
