"""A cluster checked, started and taken down, all with Ray's own tools."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from launch.cluster.file import ClusterFile, check_cluster_file, read_cluster_file
from launch.cluster.head import TIMINGS, ClusterTimings, Head, connect_to_head
from launch.cluster.ray_command import INSTEAD, read_ray_file, run_ray
from launch.output.console import console
from owkd.errors import OwkdError

HEAD_KEY = "~/ray_bootstrap_key.pem"
"""where Ray leaves, on the head, the key that opens the workers"""


def check_cluster(path: Path) -> None:
    """Raises `ConfigError` that names everything in the file that is not ready, `UserError` for no such file."""
    file = read_cluster_file(path)
    check_cluster_file(file)
    following = INSTEAD[file.kind]["up"].format(path=path) if file.kind in INSTEAD else f"owkd cluster up {path}"
    if file.kind == "kuberay":
        console.print("Kubernetes itself checks the rest: kubectl apply --dry-run=server -f FILE", soft_wrap=True)
    console.print(f"{path} is ready; next: {following}", soft_wrap=True)


def start_cluster(path: Path) -> None:
    """Starts the cluster, or brings a running one up to date. Raises `UserError`, and `OwkdError` when Ray fails."""
    check_cluster_file(read_ray_file(path, "up"))
    run_ray("up", "--yes", str(path))
    console.print(
        f"The head is up; workers join as they come. Next:\n  owkd cluster status {path}\n"
        f"  owkd cluster submit {path} -- search CONFIG --runs FOLDER",
        soft_wrap=True,
    )


def await_workers(path: Path, timings: ClusterTimings = TIMINGS) -> None:
    """Waits until machines of one's own have joined: a search that finds no worker is refused.

    As many as `min_workers` says, one when it is unset: a machine may be off. A cloud is not waited for: there a search
    itself asks for workers. Prints how many have joined, also when time is up. Raises `UserError` without a token,
    `OwkdError` when the head cannot be reached.
    """
    file = read_cluster_file(path)
    if file.kind != "local":
        return
    wanted = int(file.tree.get("min_workers", 1))
    with connect_to_head(path, "up", timings) as head:
        console.print(f"waiting for {wanted} of the workers, {timings.workers_s / 60:.0f} minutes at most")
        deadline = time.monotonic() + timings.workers_s
        while (joined := _joined_workers(head)) < wanted and time.monotonic() < deadline:
            time.sleep(timings.workers_poll_s)
    late = "" if joined >= wanted else f"; a search needs one: look again with owkd cluster status {path}"
    console.print(f"workers that have joined: {joined}{late}", soft_wrap=True)


def _joined_workers(head: Head) -> int:
    """Workers that are alive; 0 also while the head's job server is not up yet."""
    try:
        nodes = head.nodes()
    except OwkdError:
        return 0
    return sum(node["state"] == "ALIVE" and not node["is_head_node"] for node in nodes)


def stop_cluster(path: Path) -> None:
    """Takes the cluster down. Raises `UserError`, and `OwkdError` when Ray fails.

    Machines of a cloud are ended. On machines that stay, Ray would be stopped on the head alone: it is stopped on every
    worker too, from the head, which holds their key; then that key is removed.
    """
    file = read_ray_file(path, "down")
    if file.kind == "local":
        run_ray("exec", str(path), _stop_everywhere(file))
    run_ray("down", "--yes", str(path))
    console.print("The cluster is down; what is on shared or object storage stays.")


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
