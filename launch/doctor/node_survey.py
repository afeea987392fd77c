"""One task on every node of the connected cluster, which reports the node's facts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launch.doctor import node_facts
from launch.doctor.node_checks import NodeReport
from launch.doctor.node_facts import Facts, Question, Storage
from launch.doctor.storage_probe import driver_sees_file


@dataclass(frozen=True)
class DoctorTimings:
    """How long nodes are waited for, seconds.

    Attributes:
        answer_s: a node that has not answered by then has a fault
        storage_s: until a new file is seen: a network file system may show it late
    """

    answer_s: float = 90.0
    storage_s: float = 5.0


TIMINGS = DoctorTimings()


def ask_every_node(question: Question, timings: DoctorTimings) -> Iterator[NodeReport]:
    """Every node's report, in the order of the answers; last those that have not answered in time."""
    import ray

    pending = _ask(question)
    deadline = time.monotonic() + timings.answer_s
    while pending:
        ready, _ = ray.wait(list(pending), num_returns=1, timeout=max(0.0, deadline - time.monotonic()))
        received_at = time.time()
        if not ready:
            break
        node = pending.pop(ready[0])
        yield _report(node, ready[0], received_at, question["storage"], timings)
    for task, node in pending.items():
        ray.cancel(task, force=True)
        yield _silent(node, f"it gave no answer within {timings.answer_s:.0f} s")


def _ask(question: Question) -> dict[Any, Mapping[str, Any]]:
    """Starts a task on every node that is alive -> the node, as Ray describes it, by its task."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(node_facts)
    try:
        # One call a process: the memory that asking torch for GPUs takes is freed with it.
        remote: Any = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(node_facts.gather_facts)
        tasks = {}
        for node in ray.nodes():
            if node["Alive"]:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                its_question: Question = {**question, "gpus": _gpus(node) > 0}
                tasks[remote.options(scheduling_strategy=there).remote(its_question)] = node
        return tasks
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_facts)


def _report(
    node: Mapping[str, Any], task: Any, received_at: float, storage: Storage | None, timings: DoctorTimings
) -> NodeReport:
    import ray

    try:
        facts: Facts = ray.get(task)
    except ray.exceptions.RayError as error:
        return _silent(node, " ".join(str(error).split())[-300:])
    return NodeReport(
        node["NodeManagerAddress"],
        facts,
        skew_s=facts["clock"] - received_at,
        gpus=_gpus(node),
        storage_seen=driver_sees_file(storage, facts, timings.storage_s),
    )


def _silent(node: Mapping[str, Any], reason: str) -> NodeReport:
    return NodeReport(node["NodeManagerAddress"], None, reason, gpus=_gpus(node))


def _gpus(node: Mapping[str, Any]) -> int:
    return int(node["Resources"].get("GPU", 0))
