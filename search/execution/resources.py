"""What one trial takes of a machine, and how many of them the connected cluster holds."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray
import yaml

from owkd.config import Config
from owkd.errors import ConfigError

BOOTSTRAP_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""where `ray up` leaves, on the head node, what its autoscaler may start"""

Node = Mapping[str, float]
"""resources of one node by Ray's names; CPUs and GPUs are numbers, memory is bytes"""

TRIAL_MEMORY_BYTES = 2**29
"""that the smallest trial takes of memory (nano, 64 px, batch 8: 390 MB with torch); larger ones take gigabytes"""
DRIVER_MEMORY_BYTES = 2**30
"""that the driver and Ray itself take on the machine of a local search"""


@dataclass(frozen=True)
class TrialResources:
    """The resources of one job, and how many jobs run at a time.

    Attributes:
        at_a_time: by the nodes that were there, or that an autoscaler could start, when it was looked
        limit: `search.max_concurrent`
    """

    cpu: float
    gpu: float
    at_a_time: int
    limit: int | None = None

    @property
    def device(self) -> Literal["cpu", "gpu"]:
        """What jobs train on."""
        return "gpu" if self.gpu else "cpu"

    def describe(self) -> str:
        """For people: `2 at a time, each with 1 CPU and 0.5 GPU`."""
        return f"{self.at_a_time} at a time, each with {self.describe_one()}"

    def describe_one(self) -> str:
        """For people: `1 CPU and 0.5 GPU`."""
        return f"{self.cpu:g} CPU" + (f" and {self.gpu:g} GPU" if self.gpu else "")


class ClusterNodes:
    """The connected cluster as it is at each call: nodes come and go while a search runs."""

    def __init__(self, resources: TrialResources) -> None:
        self._share = resources

    def slots(self, without: Collection[str] = ()) -> int:
        """How many jobs fit at a time, `without` some nodes; with an autoscaler, on the nodes that it may start."""
        alive = [node for node in ray.nodes() if node["Alive"]]
        nodes: list[Node] = [node["Resources"] for node in alive if node["NodeID"] not in without]
        slots = _slots_of(nodes, _startable(), self._share.cpu, self._share.gpu)
        return min(slots, self._share.limit or slots)

    def living(self) -> set[str]:
        """Ids of the nodes that live."""
        return {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    def of_worker(self, worker: str) -> str | None:
        """Id of the node that a worker runs or ran on, by the worker's actor id."""
        from ray._private.state import actors  # the public form needs a dashboard

        return str(actors(worker).get("Address", {}).get("NodeID", "")) or None

    def name(self, node: str) -> str:
        """For people: host name and address of a node."""
        return node_name(node)


def node_name(node: str) -> str:
    """For people: host name and address of a node, by its id."""
    known = next((each for each in ray.nodes() if each["NodeID"] == node), None)
    return f"{known['NodeManagerHostname']} ({known['NodeManagerAddress']})" if known else node


def memory_for_trials(memory: int) -> int:
    """What of the memory of this machine, bytes, is left for the trials of a local search."""
    return max(memory - DRIVER_MEMORY_BYTES, TRIAL_MEMORY_BYTES)


def hide_unassigned_gpus() -> None:
    """In a Ray task: hides the machine's GPUs where it asked for none; Ray leaves them visible."""
    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def resources_on_cluster(config: Config) -> TrialResources:
    """Fits the configured request into the connected cluster.

    Raises `ConfigError` when no node, nor any that an autoscaler may start, can ever hold one trial.
    """
    nodes: list[Node] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return resources_on_nodes(config, nodes, _startable())


def resources_on_nodes(config: Config, nodes: list[Node], startable: Sequence[Node] = ()) -> TrialResources:
    """`resources_on_cluster` for nodes of these resources, or those that may be started in their place."""
    resources = config.search.resources
    gpu = _gpu_share(config, [*nodes, *startable])
    slots = _slots_of(nodes, startable, resources.cpu, gpu)
    if slots == 0:
        raise ConfigError(
            [
                f"search.resources must fit on one node, but a trial asks for cpu={resources.cpu:g}, gpu={gpu:g} and "
                f"{_has(nodes)}; ask for less"
            ]
        )
    limit = config.search.max_concurrent
    return TrialResources(resources.cpu, gpu, min(slots, limit or slots), limit)


def _gpu_share(config: Config, nodes: list[Node]) -> float:
    asked = config.search.resources.gpu
    device = config.train.device
    if asked == "auto":
        has_gpu = any(node.get("GPU", 0) >= 1 for node in nodes)
        if device == "cuda" and not has_gpu:
            raise ConfigError([f"train.device must be auto or cpu where {_has(nodes)}, but got cuda"])
        return float(has_gpu and device != "cpu")
    if device == "cuda" and asked == 0:
        raise ConfigError(["search.resources.gpu must be above 0 where train.device is cuda, but got 0"])
    if asked > 1 and asked != int(asked):
        raise ConfigError([f"search.resources.gpu must be whole above 1, but got {asked:g}"])
    return float(asked)


def _slots_of(nodes: Sequence[Node], startable: Sequence[Node], cpu: float, gpu: float) -> int:
    return max(sum(_slots(node, cpu, gpu) for node in known) for known in (nodes, startable))


def _slots(node: Node, cpu: float, gpu: float) -> int:
    """Jobs that fit on a node; a share of a GPU lies on one GPU."""
    by_cpu = int(node.get("CPU", 0) / cpu + 1e-9)
    if "memory" in node:  # one trial is tried in any case: nobody knows how large it is
        by_cpu = min(by_cpu, max(1, int(node["memory"] // TRIAL_MEMORY_BYTES)))
    if gpu == 0:
        return by_cpu
    gpus = int(node.get("GPU", 0))
    by_gpu = gpus * int(1 / gpu + 1e-9) if gpu <= 1 else gpus // int(gpu)
    return min(by_cpu, by_gpu)


def _startable() -> list[Node]:
    """Every worker that an autoscaler may have at a time, where this is the head node of `ray up`."""
    path = BOOTSTRAP_CONFIG.expanduser()
    if not path.is_file():
        return []
    tree: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    kinds = [kind for name, kind in tree["available_node_types"].items() if name != tree.get("head_node_type")]
    most = int(tree.get("max_workers", 0))
    nodes = [kind.get("resources", {}) for kind in kinds for _ in range(int(kind.get("max_workers", most)))]
    return sorted(nodes, key=lambda node: -node.get("GPU", 0))[:most]


def _has(nodes: list[Node]) -> str:
    if not nodes:
        return "the cluster has no node"
    largest = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
    return (
        f"the cluster has {len(nodes)} node{'s' * (len(nodes) > 1)}, the largest with "
        f"cpu={largest.get('CPU', 0):g}, gpu={largest.get('GPU', 0):g}"
    )
