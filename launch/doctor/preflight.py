"""Every node of a cluster is asked about itself, and its answers are held against the driver's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from launch.doctor import node_checks as faults
from launch.doctor import node_facts
from launch.doctor.node_checks import Fault, Node, faults_here, faults_of
from launch.doctor.node_facts import Facts, Question, Storage
from launch.doctor.probe import answered, marked
from owkd.config import Config
from owkd.errors import UserError
from search.execution.node_admission import NodeAdmission
from search.storage.address import Address

ANSWER_S = 90.0
"""a node that says nothing for so long is a fault"""


@dataclass(frozen=True)
class Report:
    """Every node, and every fault."""

    nodes: tuple[Node, ...]
    faults: tuple[Fault, ...]


def examine_here(config: Config | None, runs: Address) -> Report:
    """This machine alone, without Ray: it is held against itself, so that only what cannot be read is a fault."""
    with marked(runs) as storage:
        facts = node_facts.look(question_about(config, storage, gpus=True))
        seen = answered(storage, facts)
    node = Node("this machine", facts, gpus=len(facts["gpus"]), storage_seen=seen)
    return Report((node,), tuple(faults_of(facts, node)))


def admit(config: Config, run: Address) -> NodeAdmission:
    """Examines every node of the connected cluster -> how those that join later are examined, each by the first trial
    that lands there. Raises `UserError` when a node of now has a fault.
    """
    import ray

    expected = node_facts.look(question_about(config, None, gpus=False))
    known = frozenset(str(node["NodeID"]) for node in ray.nodes() if node["Alive"])
    if known != {ray.get_runtime_context().get_node_id()}:  # the driver's own node needs no question
        refuse_faults(examine_cluster(config, run.above, expected))
    return NodeAdmission(late_look(config, run, expected), known)


def late_look(config: Config, run: Address, expected: Facts) -> bytes:
    """`faults_here` about a search, pickled so that a node needs nothing of ours to call it."""
    import ray

    place = run if run.remote else Address(str(run.path.absolute()))
    question = question_about(config, (str(place), "run.yaml", ""), gpus=False)
    for module in (node_facts, faults):
        ray.cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(ray.cloudpickle.dumps(partial(faults_here, question, expected)))
    finally:
        for module in (node_facts, faults):
            ray.cloudpickle.unregister_pickle_by_value(module)


def examine_cluster(config: Config | None, runs: Address | None, expected: Facts | None = None) -> Report:
    """One task on every node of the connected cluster, whatever runs there at the time. Ray must be connected.

    `expected` is the driver's own answer, where it has been asked already.
    """
    expected = expected or node_facts.look(question_about(config, None, gpus=False))
    with marked(runs) as storage:
        nodes = tuple(_ask_every_node(question_about(config, storage, gpus=False), storage))
    return Report(nodes, tuple(fault for node in nodes for fault in faults_of(expected, node)))


def refuse_faults(report: Report) -> None:
    """Raises `UserError` that lists every fault, with its node and remedy."""
    if report.faults:
        count = "there is 1 fault" if len(report.faults) == 1 else f"there are {len(report.faults)} faults"
        lines = "\n".join(f"  - {fault.node}: {fault.text}" for fault in report.faults)
        raise UserError(f"every node must be able to serve the search, but {count}:\n{lines}")


def question_about(config: Config | None, storage: Storage | None, *, gpus: bool) -> Question:
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


def _ask_every_node(question: Question, storage: Storage | None) -> Iterator[Node]:
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
            seen = answered(storage, facts)
            yield Node(address, facts, skew_s=facts["clock"] - heard_at, gpus=gpus, storage_seen=seen)


def by_node(report: Report) -> Mapping[str, tuple[Fault, ...]]:
    """Faults by the name of their node; a node without any is there too."""
    return {node.name: tuple(fault for fault in report.faults if fault.node == node.name) for node in report.nodes}
