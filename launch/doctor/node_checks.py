"""What is wrong with a node: its facts compared with the driver's, with a remedy for each fault.

Like `node_facts`, Ray ships this module's source to nodes with another owkd, or with none: it imports nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launch.doctor.node_facts import FAILED, Facts, Question, gather_facts

CLOCK_SKEW_S = 5.0
FREE_DISK_BYTES = 2 * 2**30
"""Ray spills objects and keeps logs on it; below, a trial fails in ways that are hard to read"""


@dataclass(frozen=True)
class NodeReport:
    """One node and its facts.

    Attributes:
        facts: None: no answer
        failure: why there is no answer
        skew_s: its clock minus the driver's
        gpus: as Ray counts them
        storage_seen: whether the driver sees what the node wrote
    """

    address: str
    facts: Facts | None
    failure: str = ""
    skew_s: float = 0.0
    gpus: int = 0
    storage_seen: bool = True

    @property
    def name(self) -> str:
        """By which people find it: host name and address."""
        return f"{self.facts['host']} ({self.address})" if self.facts else self.address


@dataclass(frozen=True)
class Fault:
    """What keeps a node from serving.

    Attributes:
        column: of the table of nodes, that it belongs to
        text: rule, value and remedy
    """

    node: str
    column: str
    text: str


def find_faults(expected: Facts, node: NodeReport) -> Iterator[Fault]:
    """What is wrong with a node, compared with the driver's own facts."""
    if node.facts is None:
        text = f"the node must answer, but {node.failure}; look at its Ray logs, or take it out (ray stop)"
        yield Fault(node.name, "answer", text)
        return
    for package, required in expected["versions"].items():
        version = node.facts["versions"].get(package, "not installed")
        if version != required:
            yield Fault(
                node.name,
                package,
                f"{package} must be {required} as on the driver, but got {version}; install it there and start its Ray "
                "again: owkd cluster up does both",
            )
    yield from _hardware_faults(node, node.facts)
    for name, digest in expected["files"].items():
        yield from _file_fault(node, name, digest, node.facts["files"].get(name, FAILED + "it was not looked at"))
    yield from _storage_fault(node, node.facts)


def check_this_node(question: Question, expected: Facts) -> str:
    """On a worker of Ray: what is wrong with its node, for people; empty when nothing is. Clocks are not compared."""
    import ray

    gpus = len(ray.get_gpu_ids())
    facts = gather_facts({**question, "gpus": gpus > 0})
    node = NodeReport(ray.util.get_node_ip_address(), facts, gpus=gpus)
    return "; and ".join(f"{fault.node}: {fault.text}" for fault in find_faults(expected, node))


def _storage_fault(node: NodeReport, facts: Facts) -> Iterator[Fault]:
    file = facts["files"].get("storage", "")
    if file.startswith(FAILED) or not node.storage_seen:
        reason = file.removeprefix(FAILED) if file.startswith(FAILED) else "the driver does not see its file"
        yield Fault(
            node.name,
            "storage",
            f"the place of runs must be one that every node reads and writes, but {reason}; mount the folder there, "
            "see to the store's network and credentials there, or name another with --runs",
        )


def _hardware_faults(node: NodeReport, facts: Facts) -> Iterator[Fault]:
    if len(facts["gpus"]) < node.gpus:
        reason = f": {facts['gpu_error']}" if facts["gpu_error"] else ""
        yield Fault(
            node.name,
            "GPUs",
            f"torch must see the {node.gpus} GPUs that Ray counts, but sees {len(facts['gpus'])}{reason}; install "
            f"an NVIDIA driver that serves CUDA {facts['versions'].get('cuda', 'none')}",
        )
    for folder, free in facts["disk_free"].items():
        if free < FREE_DISK_BYTES:
            yield Fault(
                node.name,
                "disk",
                f"{folder} must have {FREE_DISK_BYTES / 2**30:.0f} GiB free, but has {free / 2**30:.1f}; make room",
            )
    yield from room_faults(node, facts)
    if abs(node.skew_s) > CLOCK_SKEW_S:
        yield Fault(
            node.name,
            "clock",
            f"the clock must agree with the driver's within {CLOCK_SKEW_S:.0f} s, but is off by {node.skew_s:+.1f} s; "
            "run a time service (chrony, systemd-timesyncd)",
        )


def room_faults(node: NodeReport, facts: Facts) -> Iterator[Fault]:
    """What a search takes of the disks of a node, where there is less."""
    for folders, wanted, has, purposes, remedies in facts["too_full"]:
        yield Fault(
            node.name,
            "disk",
            f"{folders} must have room for {wanted / 1e9:.1f} GB ({purposes}), but has {has / 1e9:.1f} GB; make room, "
            f"or set {remedies} to another disk",
        )


def _file_fault(node: NodeReport, name: str, expected: str, digest: str) -> Iterator[Fault]:
    kind = name.partition(" ")[0]
    if digest.startswith(FAILED):
        yield Fault(
            node.name,
            kind,
            f"{name} must be readable, but {digest.removeprefix(FAILED)}; put it under the same path there",
        )
    elif digest != expected:
        yield Fault(
            node.name,
            kind,
            f"{name} must be the driver's ({expected[:12]}), but got {digest[:12]}; copy it again, keeping times "
            "(rsync -a), or share one folder",
        )
