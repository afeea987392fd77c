"""Teacher targets before the first trial: shards of images, one Ray task a slot.

Trials then find them on disk. Where workers do not see the driver's folder (each node has a disk of its own), nothing
is built here: the first trial on each node builds that node's copy, and the others there wait for it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from owkd.config import Config, TeacherWeights, with_values
from owkd.errors import OwkdError
from search.execution.nodes import fault_in_words, is_node_fault
from search.execution.resources import hide_unassigned_gpus, node_name

if TYPE_CHECKING:
    from owkd.data.index import Split
    from owkd.training.target_building import TargetBuild

TERMS = ("gram", "spectrum", "gce_gram", "gce_spectrum", "logit")


def build_targets(config: Config, console: Console) -> Config:
    """Builds what any trial may need of its teachers -> the configuration with `teacher.targets.use` settled for all.

    Ray must be connected. Raises `DataError` where stored targets are wished for and find no room.
    """
    from owkd.data.index import read_split
    from owkd.training.recipe.augmentation import Augmentation
    from owkd.training.target_building import opened
    from owkd.training.targets import StoredTargets, plans_of_targets

    everything = wanted(config)
    use = config.teacher.targets.use
    if use == "live" or not everything.distill.enabled or not Augmentation.of(everything.train).is_storable:
        return config
    for fold in config.fold_names():
        train = read_split(config.data.root, config.data.dataset, fold, "train")
        for plan in plans_of_targets(everything, fold, train):
            if plan.find() is not None:
                continue
            with opened(plan, use, lambda line: console.print(line, soft_wrap=True)) as build:
                if build is None:
                    return with_values(config, {"teacher.targets.use": "live"})
                if not isinstance(build, StoredTargets):
                    _build(build, config, train, console)
    return with_values(config, {"teacher.targets.use": "stored"})


def wanted(config: Config) -> Config:
    """The configuration with everything switched on that some trial may switch on and that asks more of the teacher's
    stored outputs; trials that crop or erase do without them, if there are others."""
    searched = {path for path in config.search.space if path.startswith("distill.")}
    values: dict[str, Any] = {f"distill.{term}": 1.0 for term in TERMS if f"distill.{term}" in searched}
    if "train.flip" in config.search.space:
        values["train.flip"] = True
    values |= {path: 0 for path in ("train.crop_padding", "train.random_erasing") if path in config.search.space}
    if any(path.startswith("distill.teacher_weights") for path in searched):
        values["distill.teacher_weights"] = TeacherWeights().model_dump()
    return with_values(config, values)


def _build(build: TargetBuild, config: Config, train: Split, console: Console) -> None:
    begun = time.monotonic()
    chunks = build.remaining_chunks()
    if len(chunks) > 1:
        seen_by = _in_parallel(build, config, train, chunks, where=None)
        # A node may have died, and another may not see the folder: those that do take the rest.
        while seen_by and len(rest := build.remaining_chunks()) < len(chunks):
            chunks = rest
            seen_by = _in_parallel(build, config, train, chunks, where=seen_by) if chunks else []
    elif chunks:
        # Starting a process would take longer than one chunk.
        _build_here(build, config, train, chunks, "cpu")
    if build.remaining_chunks():
        shutil.rmtree(build.building, ignore_errors=True)
        console.print(
            f"teacher targets: workers do not see {build.folder}; each node builds its own when its first trial starts",
            soft_wrap=True,
        )
        return
    build.finish()
    console.print(f"teacher targets: built in {time.monotonic() - begun:.1f} s", soft_wrap=True)


def _in_parallel(
    build: TargetBuild, config: Config, train: Split, chunks: Sequence[range], where: Sequence[str] | None
) -> list[str]:
    """Sends tasks to slots, each with its shard -> the nodes that see the build's folder, and whose machine is sound.

    Raises what a task raised, `OwkdError` where the teacher's numbers do not fit, or every node's machine failed.
    """
    slots = [slot for slot in _slots(config) if where is None or slot[0] in where]
    shards = [chunks[first :: len(slots)] for first in range(min(len(slots), len(chunks)))]
    task: Any = ray.remote(_work_on_shard)
    pending = {}
    for (node, cpus, gpus), shard in zip(slots, shards, strict=False):
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0, "scheduling_strategy": here}
        pending[task.options(**options).remote(build, config.to_dict(), train, shard)] = node
    seen_by, faults = set(), {}
    for reference, node in pending.items():
        try:
            if ray.get(reference):
                seen_by.add(node)
        except ray.exceptions.RayTaskError as error:
            if not is_node_fault(error.cause):
                raise error.cause from None
            faults[node] = fault_in_words(error.cause)
        except ray.exceptions.RayError:
            continue  # the node is gone; others take over what it left
    if faults and faults.keys() >= set(pending.values()):
        lines = "\n".join(f"  - {node_name(node)}: {fault}" for node, fault in faults.items())
        raise OwkdError(f"no node could build teacher targets, because its machine failed:\n{lines}")
    return sorted(seen_by - faults.keys())


def _slots(config: Config) -> list[tuple[str, float, float]]:
    """(node, CPUs, GPUs) of each task that runs at a time: a whole GPU each, or a trial's CPUs."""
    cpus = config.search.resources.cpu
    slots = []
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        has = node["Resources"]
        gpus = int(has.get("GPU", 0)) if config.train.device != "cpu" else 0
        by_cpu = int(has.get("CPU", 0) / cpus + 1e-9)
        count = min(gpus, by_cpu) if gpus else by_cpu
        slots += [(str(node["NodeID"]), cpus, float(bool(gpus)))] * count
    return slots


def _work_on_shard(build: TargetBuild, config: dict[str, Any], train: Split, chunks: Sequence[range]) -> bool:
    """In a worker: whether it sees the folder; if so, the shard's chunks are built then."""
    from owkd.config import parse_config

    if not build.is_visible_here:
        return False
    hide_unassigned_gpus()
    left = set(build.remaining_chunks())
    chunks = [chunk for chunk in chunks if chunk in left]
    _build_here(build, parse_config(config), train, chunks, "cuda" if ray.get_gpu_ids() else "cpu")
    return True


def _build_here(build: TargetBuild, config: Config, train: Split, chunks: Sequence[range], device: str) -> None:
    import torch

    from owkd.data.images import load_images
    from owkd.data.reading.survey import window_for

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, int(config.search.resources.cpu)))
    try:
        data = config.data
        images = load_images(train, data.image_size, data.cache, window_for(train, data))
        build.build(chunks, images, torch.device(device))
    finally:
        torch.set_num_threads(before)
