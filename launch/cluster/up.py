"""`owkd cluster`: a cluster started, given searches, watched and taken down, all with Ray's own tools.

A search is a Ray job: its driver lives on the head and goes on when the machine that submitted it is closed. The head's
job server listens on the head only; `ray dashboard` carries it here through SSH, to 127.0.0.1.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape

from launch.cluster.file import ClusterFile, check_cluster_file, read_cluster_file
from launch.output.console import console
from owkd.errors import OwkdError, UserError

TUNNEL_S = 60.0
HEAD_KEY = "~/ray_bootstrap_key.pem"
"""where Ray leaves, on the head, the key that opens the workers"""
INSTEAD = {
    "up": "kubectl apply -f {path}",
    "submit": "kubectl apply -f {path}, whose RayJob is the search",
    "status": "kubectl get raycluster,rayjob,pods and kubectl logs --follow job/owkd-search",
    "down": "kubectl delete -f {path}",
}


def check(path: Path) -> None:
    """Raises `ConfigError` that names everything in the file that is not ready, `UserError` for no such file."""
    file = read_cluster_file(path)
    check_cluster_file(file)
    following = INSTEAD["up"].format(path=path) if file.kind == "kuberay" else f"owkd cluster up {path}"
    if file.kind == "kuberay":
        console.print("Kubernetes itself checks the rest: kubectl apply --dry-run=server -f FILE", soft_wrap=True)
    console.print(f"{path} is ready; next: {following}", soft_wrap=True)


def up(path: Path) -> None:
    """Starts the cluster, or brings a running one up to date. Raises `UserError`, and `OwkdError` when Ray fails."""
    file = _for_ray(path, "up")
    check_cluster_file(file)
    _ray("up", "--yes", str(path))
    console.print(
        f"The head is up; workers join as they come. Next:\n  owkd cluster status {path}\n"
        f"  owkd cluster submit {path} -- search CONFIG --runs FOLDER",
        soft_wrap=True,
        markup=False,
    )


def down(path: Path) -> None:
    """Takes the cluster down. Raises `UserError`, and `OwkdError` when Ray fails.

    Machines of a cloud are ended. On machines that stay, Ray would be stopped on the head alone: it is stopped on every
    worker too, from the head, which holds their key; then that key is removed.
    """
    file = _for_ray(path, "down")
    if file.kind == "local":
        _ray("exec", str(path), _stop_everywhere(file))
    _ray("down", "--yes", str(path))
    console.print("The cluster is down; what lies on shared or object storage stays.")


def _stop_everywhere(file: ClusterFile) -> str:
    """A command for the head. The head's Ray ends first: its autoscaler would start the workers again."""
    user = file.tree["auth"]["ssh_user"]
    key = HEAD_KEY if file.tree["auth"].get("ssh_private_key") else ""
    identity = f"-i {key} " if key else ""
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=10"
    stop = shlex.quote("bash -ic 'ray stop --force'")
    lines = ["ray stop"]
    for address in file.tree["provider"]["worker_ips"]:
        lines.append(
            f"ssh {identity}{options} {user}@{address} {stop} < /dev/null || echo {address} could not be reached"
        )
    return "; ".join([*lines, f"rm -f {HEAD_KEY} ~/ray_bootstrap_config.yaml"])


@contextmanager
def tunnel(path: Path, command: str) -> Iterator[str]:
    """The head's job server at an address of this machine, for as long as this is entered.

    Raises `UserError` for a file of KubeRay, `OwkdError` when the head cannot be reached.
    """
    _for_ray(path, command)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*_ray_command(), "dashboard", str(path), "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=_environment(),
    )
    try:
        _await_tunnel(process, path, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # ssh is a child of it
        process.wait()


def _await_tunnel(process: subprocess.Popen[bytes], path: Path, port: int) -> None:
    deadline = time.monotonic() + TUNNEL_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    said = ""
    if process.poll() is not None and process.stdout is not None:
        said = ": " + " ".join(process.stdout.read().decode(errors="replace").split())[-400:]
    raise OwkdError(f"the head of {path} could not be reached{said}\nIs it up? owkd cluster up {path}")


def _for_ray(path: Path, command: str) -> ClusterFile:
    """A file of `ray up`. Raises `UserError`."""
    file = read_cluster_file(path)
    if file.kind == "kuberay":
        raise UserError(
            f"owkd cluster {command} must be given a file of `ray up`, but {path} is for Kubernetes; use "
            f"{INSTEAD[command].format(path=path)}"
        )
    return file


def _ray(*arguments: str) -> None:
    """Runs Ray's own command line, whose words go to the terminal. Raises `OwkdError`."""
    done = subprocess.run([*_ray_command(), *arguments], check=False, env=_environment())
    if done.returncode:
        shown = shlex.join(["ray", *arguments[:1]])
        raise OwkdError(f"{escape(shown)} ended with exit code {done.returncode}; its messages stand above")


def _ray_command() -> Sequence[str]:
    """The `ray` of this very environment."""
    return (sys.executable, "-m", "ray.scripts.scripts")


def _environment() -> dict[str, str]:
    return {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
