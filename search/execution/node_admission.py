"""A node that joined after the search began: looked at by the first worker there, before it trains anything.

The look is taken in the very process that would train, so that nothing comes between. A node that cannot serve gets
its job back unharmed and no further ones; mended, with its Ray started again, it is a new node and is looked at anew.

Ray carries this module's source to the workers, so that a node with another owkd, or with none, can say so: it imports
nothing of ours at its top.
"""

from __future__ import annotations

import pickle
import socket
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNFIT = "unfit"
"""state of the message that sends a job back: its node cannot serve"""


@dataclass(frozen=True)
class NodeAdmission:
    """How a node is looked at, and which need no look.

    Attributes:
        look: pickled, because a node may lack what it names: called there, it returns what is wrong, or nothing
        known: ids of nodes that were looked at before the search began
    """

    look: bytes
    known: frozenset[str]


@contextmanager
def ship_modules_by_value() -> Iterator[None]:
    """While a search runs, its workers get this module by its source."""
    import ray

    module = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        ray.cloudpickle.unregister_pickle_by_value(module)


def placement_request(bundle: Mapping[str, float], excluded_nodes: str) -> Any:
    """What one attempt takes of a machine, on any node but those that cannot serve (ids with commas between)."""
    from ray import tune

    if not excluded_nodes:
        return tune.PlacementGroupFactory([dict(bundle)])
    elsewhere = {"ray.io/node-id": f"!in({excluded_nodes})"}
    return tune.PlacementGroupFactory([dict(bundle)], bundle_label_selector=[elsewhere])


def require_admitted(admission: NodeAdmission | None) -> None:
    """In a task that is no trial: raises `OwkdError` on a node that joined later and cannot serve."""
    import ray

    if admission is None or ray.get_runtime_context().get_node_id() in admission.known:
        return
    if fault := pickle.loads(admission.look)():
        from owkd.errors import OwkdError

        raise OwkdError(fault)


@contextmanager
def task_checkpoint(checkpoint: str, admission: NodeAdmission | None) -> Iterator[Path]:
    """In a Ray task that is no trial: the checkpoint (path or URI) as a local file, on a node that may work.

    Raises `OwkdError` on a node that joined later and cannot serve.
    """
    from search.execution.resources import hide_unassigned_gpus
    from search.storage.worker_scratch import local_copy

    require_admitted(admission)
    hide_unassigned_gpus()
    with local_copy(checkpoint) as file:
        yield file


def work_if_admitted(payload: Mapping[str, Any], look: bytes, known: Collection[str], train: bytes) -> None:
    """`work_for_ray` inside a Ray Tune trial, on a node that can serve; one that cannot says so and tries nothing.

    `look` and `known` are those of a `NodeAdmission`, `train` a pickled `search.execution.worker.Train`.
    """
    import ray
    from ray import tune

    if ray.get_runtime_context().get_node_id() not in {*known, *payload["healthy"].split(",")}:
        fault = pickle.loads(look)()
        if fault:
            tune.report(unfit_message(payload["key"], fault))
            return
    from search.execution.worker import work_for_ray

    work_for_ray(payload, pickle.loads(train))


def unfit_message(key: str, fault: str) -> dict[str, Any]:
    """A message (`search.execution.worker.Message`), from a node that may not have its class."""
    return {
        "key": key,
        "state": UNFIT,
        "step": 0,
        "objective": float("nan"),
        "fold": "",
        "seed": 0,
        "epoch": 0,
        "metrics": (),
        "replayed": False,
        "sent_at": time.time(),
        "host": socket.gethostname(),
        "judged": (),
        "best_step": 0,
        "error_type": "UnfitNode",
        "error_text": fault,
    }
