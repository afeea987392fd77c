"""How many trials share a GPU: one trial's memory is measured before the first, and each is held to its share.

Nothing here was measured on a GPU of more than one trial yet; the decision itself is a function of two numbers.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from owkd.config import Config, with_values
from owkd.models.presets import PRESETS, architecture
from search.execution.teacher_targets import wanted
from search.space.entries import entries

HEADROOM = 1.15
"""of the measured peak: the allocator's blocks fall otherwise in every run, and cuDNN may choose other algorithms"""
CONTEXT_BYTES = 600 * 2**20
"""what CUDA itself takes of a GPU for each process, which torch does not count"""
MOST = 8
"""trials on one GPU: beyond it they only wait for each other"""
PRECISION = 10_000
"""Ray knows shares to four digits"""


def share_for(peak: int, total: int) -> float:
    """The share of a GPU of `total` bytes for a trial whose tensors take at most `peak`: as many fit as `1 / share`."""
    fit = int(total // (HEADROOM * peak + CONTEXT_BYTES))
    fit = min(max(fit, 1), MOST)
    return math.floor(PRECISION / fit) / PRECISION


def memory_fraction(share: float, total: int) -> float:
    """The part of a GPU of `total` bytes that a trial's tensors may take: its share without CUDA's context."""
    return max(share - CONTEXT_BYTES / total, 0.01)


def hold_to_share() -> None:
    """In a worker: torch refuses more memory than the job's share of the GPU, so that its neighbours keep theirs.

    Raises `OSError` where torch does not see the GPU that Ray gave the job: it would train on the CPU in silence.
    """
    if not ray.is_initialized():
        return
    context = ray.get_runtime_context()
    if context.get_task_id() is None and context.get_actor_id() is None:  # a driver, which has no share
        return
    share = float(context.get_assigned_resources().get("GPU", 0))
    if share == 0:
        return
    import torch

    if not torch.cuda.is_available():
        raise OSError(errno.ENODEV, "torch sees no GPU, though Ray gave one")
    if share < 1:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(memory_fraction(share, total))


def measured_share(config: Config, console: Console) -> float:
    """Trains the largest student of the space for some steps on each kind of GPU -> the share that is enough on all.

    Ray must be connected. A whole GPU where none is there yet, or where even a whole one is too small.
    """
    nodes = _one_node_a_kind(node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) >= 1)
    if not nodes:
        return 1.0
    task: Any = ray.remote(_measure)
    largest = largest_trial(config).to_dict()
    pending = []
    for node in nodes:
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": config.search.resources.cpu, "num_gpus": 1, "scheduling_strategy": here}
        pending.append(task.options(**options, max_calls=1).remote(largest, config.data.folds[0]))
    measured = ray.get(pending)
    if None in measured:
        console.print("memory of a trial: more than a whole GPU for the largest student of the space", soft_wrap=True)
        return 1.0
    share = max(share_for(peak, total) for peak, total in measured)
    peak = max(peak for peak, _ in measured)
    console.print(f"memory of a trial: {peak / 1e9:.1f} GB at most, so {share:g} of a GPU each", soft_wrap=True)
    return share


def largest_trial(config: Config) -> Config:
    """The trial of a space that takes most memory: every term, the largest of what memory depends on, no space left."""
    values: dict[str, Any] = {"search.space": {}, "search.scheduler": {"name": "none"}}
    for path, entry in entries(config.search.space).items():
        if path in ("train.batch_size", "train.validation_batch_size", "data.image_size"):
            values[path] = entry.largest()
        elif path == "student.preset":
            values[path] = max(entry.proposed(), key=list(reversed(PRESETS)).index)
        elif path == "student.depths":
            own = architecture(config.student.preset).depths
            values[path] = max(entry.proposed(), key=lambda depths: sum(depths or own))
        elif path == "train.precision":
            values[path] = "fp32" if "fp32" in entry.proposed() else "bf16"
    if "train.batch_size" in values:
        values["train.images_per_identity"] = 1  # memory depends on the batch alone, and any size is a multiple of 1
    return with_values(wanted(config), values)


def _one_node_a_kind(nodes: Iterable[Any]) -> list[str]:
    kinds = {}
    for node in nodes:
        kind = next((name for name in node["Resources"] if name.startswith("accelerator_type:")), "unknown")
        kinds[kind] = str(node["NodeID"])
    return list(kinds.values())


def _measure(config: dict[str, Any], fold: str) -> tuple[int, int] | None:
    """In a worker with a GPU of its own; the process ends with the task, and its memory with the process."""
    import torch

    from owkd.config import parse_config
    from owkd.training.memory import memory_peak

    try:
        return memory_peak(parse_config(config), fold)
    except torch.OutOfMemoryError:
        return None
