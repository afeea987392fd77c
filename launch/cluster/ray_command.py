"""Ray's own command line, and the files that it takes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from launch.cluster.file import ClusterFile, Kind, read_cluster_file
from owkd.errors import OwkdError, UserError

RAY = (sys.executable, "-m", "ray.scripts.scripts")
"""the `ray` of this very environment"""
SYSTEMS: dict[Kind, str] = {"kuberay": "Kubernetes", "slurm": "Slurm"}
INSTEAD: dict[Kind, dict[str, str]] = {
    "kuberay": {
        "up": "kubectl apply -f {path}",
        "submit": "kubectl apply -f {path}, whose RayJob is the search",
        "status": "kubectl get raycluster,rayjob,pods and kubectl logs --follow job/owkd-search",
        "down": "kubectl delete -f {path}",
    },
    "slurm": {
        "up": "sbatch {path}",
        "submit": "sbatch {path}, which names the search",
        "status": "squeue --me and tail -f owkd-JOB.log",
        "down": "scancel --batch --signal=TERM JOB",
    },
}
"""what does the same, by command, where another system starts the nodes"""


def read_ray_file(path: Path, command: str) -> ClusterFile:
    """A file of `ray up`, for `owkd cluster <command>`. Raises `UserError` for any other."""
    file = read_cluster_file(path)
    if file.kind in INSTEAD:
        raise UserError(
            f"owkd cluster {command} must be given a file of `ray up`, but {path} is for {SYSTEMS[file.kind]}; use "
            f"{INSTEAD[file.kind][command].format(path=path)}"
        )
    return file


def run_ray(*arguments: str) -> None:
    """Runs one command of Ray, whose messages go to the terminal. Raises `OwkdError` when it fails."""
    done = subprocess.run([*RAY, *arguments], check=False, env=ray_environment())
    if done.returncode:
        command = shlex.join(["ray", *arguments[:1]])
        raise OwkdError(f"{command} ended with exit code {done.returncode}; its messages are above")


def ray_environment() -> dict[str, str]:
    """This process's environment, without Ray's usage statistics."""
    return {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
