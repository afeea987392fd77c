"""Every node of a cluster is asked about itself, and its answers are held against the driver's."""

from __future__ import annotations

import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch import node_facts
from launch.node_facts import FAILED, Facts, Question
from owkd.config import Config
from owkd.errors import UserError

ANSWER_S = 90.0
"""a node that says nothing for so long is a fault"""
CLOCK_SKEW_S = 5.0
FREE_DISK_BYTES = 2 * 2**30
"""Ray spills objects and keeps logs on it; below, a trial fails in ways that are hard to read"""


@dataclass(frozen=True)
class Node:
    """One node and what it said."""

    address: str
    facts: Facts | None
    """None: no answer"""
    silence: str = ""
    """why there is no answer"""
    skew_s: float = 0.0
    """its clock minus the driver's"""
    gpus: int = 0
    """as Ray counts them"""
    storage_seen: bool = True
    """whether the driver sees what the node wrote"""

    @property
    def name(self) -> str:
        """How a person finds it."""
        return f"{self.facts['host']} ({self.address})" if self.facts else self.address


@dataclass(frozen=True)
class Fault:
    """What keeps a node from serving."""

    node: str
    column: str
    """of the table of nodes, that it belongs to"""
    text: str
    """rule, value and remedy"""


@dataclass(frozen=True)
class Report:
    """Every node, and every fault."""

    nodes: tuple[Node, ...]
    faults: tuple[Fault, ...]


def examine_here(config: Config | None, runs: Path) -> Report:
    """This machine alone, without Ray: it is held against itself, so that only what cannot be read is a fault."""
    with _storage(runs) as storage:
        facts = node_facts.look(question_about(config, storage, gpus=True))
        seen = storage_answered(storage, facts)
    node = Node("this machine", facts, gpus=len(facts["gpus"]), storage_seen=seen)
    return Report((node,), tuple(faults_of(facts, node)))


def examine_cluster(config: Config | None, runs: Path | None) -> Report:
    """One task on every node of the connected cluster, whatever runs there at the time. Ray must be connected.

    `runs` is None where runs lie in an object store: no folder need be shared then.
    """
    expected = node_facts.look(question_about(config, None, gpus=False))
    with _storage(runs) as storage:
        nodes = tuple(_ask_every_node(question_about(config, storage, gpus=False), storage))
    return Report(nodes, tuple(fault for node in nodes for fault in faults_of(expected, node)))


def is_shared() -> bool:
    """Whether the connected cluster is more than the driver's own node, which needs no question."""
    import ray

    alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    return alive != [ray.get_runtime_context().get_node_id()]


def refuse_faults(report: Report) -> None:
    """Raises `UserError` that lists every fault, with its node and remedy."""
    if report.faults:
        count = "there is 1 fault" if len(report.faults) == 1 else f"there are {len(report.faults)} faults"
        lines = "\n".join(f"  - {fault.node}: {fault.text}" for fault in report.faults)
        raise UserError(f"every node must be able to serve the search, but {count}:\n{lines}")


def question_about(config: Config | None, storage: tuple[str, str] | None, *, gpus: bool) -> Question:
    """What a node is asked; without a configuration, neither data nor teachers."""
    if config is None:
        return {"data": None, "teachers": (), "storage": storage, "gpus": gpus}
    folds, data = config.fold_names(), config.data
    teachers = tuple(dict.fromkeys(str(config.teacher.checkpoint_for(fold).absolute()) for fold in folds))
    cache = None if data.cache is None else str(data.cache.absolute())
    return {
        "data": (str(data.root.absolute()), data.dataset, folds, cache),
        "teachers": teachers,
        "storage": storage,
        "gpus": gpus,
    }


def faults_of(expected: Facts, node: Node) -> Iterator[Fault]:
    """What is wrong with a node, held against the driver's own answer."""
    if node.facts is None:
        text = f"the node must answer, but {node.silence}; do look at its Ray logs, or take it out (ray stop)"
        yield Fault(node.name, "answer", text)
        return
    for package, wanted in expected["versions"].items():
        got = node.facts["versions"].get(package, "not installed")
        if got != wanted:
            yield Fault(
                node.name,
                package,
                f"{package} must be {wanted} as on the driver, but got {got}; do install it there and start its Ray "
                "again: owkd cluster up does both",
            )
    yield from _hardware_faults(node, node.facts)
    for name, wanted in expected["files"].items():
        yield from _file_fault(node, name, wanted, node.facts["files"].get(name, FAILED + "it was not looked at"))
    storage = node.facts["files"].get("storage", "")
    if storage.startswith(FAILED) or not node.storage_seen:
        reason = storage.removeprefix(FAILED) if storage.startswith(FAILED) else "the driver does not see its file"
        yield Fault(
            node.name,
            "storage",
            f"the folder of runs must be one that every node reads and writes, but {reason}; do mount it there, or "
            "name a shared one with --runs",
        )


def _hardware_faults(node: Node, facts: Facts) -> Iterator[Fault]:
    if len(facts["gpus"]) < node.gpus:
        reason = f": {facts['gpu_error']}" if facts["gpu_error"] else ""
        yield Fault(
            node.name,
            "GPUs",
            f"torch must see the {node.gpus} GPUs that Ray counts, but sees {len(facts['gpus'])}{reason}; do install "
            f"an NVIDIA driver that serves CUDA {facts['versions'].get('cuda', 'none')}",
        )
    for folder, free in facts["disk_free"].items():
        if free < FREE_DISK_BYTES:
            yield Fault(
                node.name,
                "disk",
                f"{folder} must have {FREE_DISK_BYTES / 2**30:.0f} GiB free, but has {free / 2**30:.1f}; do make room",
            )
    if abs(node.skew_s) > CLOCK_SKEW_S:
        yield Fault(
            node.name,
            "clock",
            f"the clock must agree with the driver's within {CLOCK_SKEW_S:.0f} s, but is off by {node.skew_s:+.1f} s; "
            "do run a time service (chrony, systemd-timesyncd)",
        )


def _file_fault(node: Node, name: str, wanted: str, got: str) -> Iterator[Fault]:
    kind = name.partition(" ")[0]
    if got.startswith(FAILED):
        yield Fault(
            node.name,
            kind,
            f"{name} must be readable, but {got.removeprefix(FAILED)}; do put it under the same path there",
        )
    elif got != wanted:
        yield Fault(
            node.name,
            kind,
            f"{name} must be the driver's ({wanted[:12]}), but got {got[:12]}; do copy it again, keeping times "
            "(rsync -a), or share one folder",
        )


def _ask_every_node(question: Question, storage: tuple[str, str] | None) -> Iterator[Node]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(node_facts)
    try:
        # One call a process: what a look at the GPUs takes of their memory goes with it.
        task: Any = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(node_facts.look)
        asked = {}
        for node in ray.nodes():
            if node["Alive"]:
                here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                about: Question = {**question, "gpus": node["Resources"].get("GPU", 0) > 0}
                asked[task.options(scheduling_strategy=here).remote(about)] = node
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_facts)
    deadline = time.monotonic() + ANSWER_S
    while asked:
        ready, _ = ray.wait(list(asked), num_returns=1, timeout=max(0.0, deadline - time.monotonic()))
        heard_at = time.time()
        for reference in ready or list(asked):
            node = asked.pop(reference)
            address, gpus = node["NodeManagerAddress"], int(node["Resources"].get("GPU", 0))
            if not ready:
                ray.cancel(reference, force=True)
                yield Node(address, None, f"it said nothing for {ANSWER_S:.0f} s", gpus=gpus)
                continue
            try:
                facts: Facts = ray.get(reference)
            except ray.exceptions.RayError as error:
                yield Node(address, None, " ".join(str(error).split())[-300:], gpus=gpus)
                continue
            seen = storage_answered(storage, facts)
            yield Node(address, facts, skew_s=facts["clock"] - heard_at, gpus=gpus, storage_seen=seen)


@contextmanager
def _storage(runs: Path | None) -> Iterator[tuple[str, str] | None]:
    """A folder where runs will lie, with a word of the driver's in it; removed at the end. Raises `UserError`."""
    if runs is None:
        yield None
        return
    place = runs.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    folder, word = place / f".owkd-doctor-{secrets.token_hex(6)}", secrets.token_hex(16)
    try:
        folder.mkdir()
        (folder / "driver").write_text(word, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"the folder of runs must be writable, but got {place} on {socket.gethostname()} ({error.strerror}); "
            "do change --runs"
        ) from error
    try:
        yield str(folder), word
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def storage_answered(storage: tuple[str, str] | None, facts: Facts) -> bool:
    """Whether the driver sees the file that a node says it wrote."""
    if storage is None:
        return True
    name = facts["files"].get("storage", FAILED)
    if name.startswith(FAILED):
        return False
    written = Path(storage[0]) / name
    deadline = time.monotonic() + node_facts.STORAGE_WAIT_S
    while not written.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return written.exists()


def by_node(report: Report) -> Mapping[str, tuple[Fault, ...]]:
    """Faults by the name of their node; a node without any is there too."""
    return {node.name: tuple(fault for fault in report.faults if fault.node == node.name) for node in report.nodes}
