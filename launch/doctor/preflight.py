"""Before a search: every node reports its facts, which are compared with the driver's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from launch.doctor import node_checks, node_facts
from launch.doctor.node_checks import Fault, NodeReport, check_this_node, find_faults, room_faults
from launch.doctor.node_facts import Facts, Question, Room, Storage, gather_facts
from launch.doctor.node_survey import TIMINGS, DoctorTimings, ask_every_node
from launch.doctor.storage_probe import driver_file, driver_sees_file
from owkd.config import Config
from owkd.errors import UserError
from search.execution.node_admission import NodeAdmission
from search.execution.resources import resources_on_cluster
from search.planning.costs import Costs
from search.storage.address import Address


@dataclass(frozen=True)
class ClusterReport:
    """Every node, and every fault."""

    nodes: tuple[NodeReport, ...]
    faults: tuple[Fault, ...]

    def faults_of(self, node: NodeReport) -> tuple[Fault, ...]:
        """The faults of one node."""
        return tuple(fault for fault in self.faults if fault.node == node.name)


def require_room(config: Config, run: Address) -> None:
    """Raises `UserError` where this machine's disks lack the room that a local search takes."""
    facts = gather_facts(make_question(None, None, gpus=False, rooms=_rooms(config, run, Costs.of(config).at_a_time)))
    node = NodeReport("this machine", facts)
    refuse_faults(ClusterReport((node,), tuple(room_faults(node, facts))))


def examine_this_machine(config: Config | None, runs: Address, timings: DoctorTimings = TIMINGS) -> ClusterReport:
    """This machine alone, without Ray. It is compared with itself, so that only what cannot be read is a fault."""
    needed = _rooms(config, runs / config.name, Costs.of(config).at_a_time) if config else ()
    with driver_file(runs) as storage:
        facts = gather_facts(make_question(config, storage, gpus=True, timings=timings, rooms=needed))
        storage_seen = driver_sees_file(storage, facts, timings.storage_s)
    node = NodeReport("this machine", facts, gpus=len(facts["gpus"]), storage_seen=storage_seen)
    return ClusterReport((node,), tuple(find_faults(facts, node)))


def examine_cluster(
    config: Config | None,
    runs: Address | None,
    expected: Facts | None = None,
    timings: DoctorTimings = TIMINGS,
) -> ClusterReport:
    """One task on every node of the connected cluster, whatever runs there at the time. Ray must be connected.

    `expected` are the driver's own facts, where they have been gathered already.
    """
    expected = expected or gather_facts(make_question(config, None, gpus=False))
    needed = _rooms(config, runs / config.name, _at_a_time(config)) if config and runs else ()
    with driver_file(runs) as storage:
        question = make_question(config, storage, gpus=False, timings=timings, rooms=needed)
        nodes = tuple(ask_every_node(question, timings))
    return ClusterReport(nodes, tuple(fault for node in nodes for fault in find_faults(expected, node)))


def admit_nodes(config: Config, run: Address) -> NodeAdmission:
    """Examines every node of the connected cluster -> how those that join later are examined, each by the first trial
    that is placed there. Raises `UserError` when a node of now has a fault.
    """
    import ray

    expected = gather_facts(make_question(config, None, gpus=False))
    known = frozenset(str(node["NodeID"]) for node in ray.nodes() if node["Alive"])
    if known != {ray.get_runtime_context().get_node_id()}:  # the driver's own node needs no question
        refuse_faults(examine_cluster(config, run.above, expected))
    needed = _rooms(config, run, _at_a_time(config))
    return NodeAdmission(pickled_check(config, run, expected, needed), known)


def pickled_check(config: Config, run: Address, expected: Facts, rooms: tuple[Room, ...] = ()) -> bytes:
    """`check_this_node` for a search, pickled so that a node needs nothing of ours to call it."""
    import ray

    place = run if run.remote else Address(str(run.path.absolute()))
    question = make_question(config, (str(place), "run.yaml", ""), gpus=False, rooms=rooms)
    for module in (node_facts, node_checks):
        ray.cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(ray.cloudpickle.dumps(partial(check_this_node, question, expected)))
    finally:
        for module in (node_facts, node_checks):
            ray.cloudpickle.unregister_pickle_by_value(module)


def refuse_faults(report: ClusterReport) -> None:
    """Raises `UserError` that lists every fault, with its node and remedy."""
    if report.faults:
        count = "there is 1 fault" if len(report.faults) == 1 else f"there are {len(report.faults)} faults"
        lines = "\n".join(f"  - {fault.node}: {fault.text}" for fault in report.faults)
        raise UserError(f"every node must be able to serve the search, but {count}:\n{lines}")


def make_question(
    config: Config | None,
    storage: Storage | None,
    *,
    gpus: bool,
    timings: DoctorTimings = TIMINGS,
    rooms: tuple[Room, ...] = (),
) -> Question:
    """What a node is asked; without a configuration, neither data nor teachers."""
    question: Question = {
        "data": None,
        "teachers": (),
        "storage": storage,
        "storage_wait_s": timings.storage_s,
        "gpus": gpus,
        "rooms": rooms,
    }
    if config is None:
        return question
    folds, data = config.fold_names(), config.data
    teachers = tuple(dict.fromkeys(str(config.teacher.checkpoint_for(fold).absolute()) for fold in folds))
    cache = None if data.cache is None else str(data.cache.absolute())
    return {**question, "data": (str(data.root.absolute()), data.dataset, folds, cache), "teachers": teachers}


def _rooms(config: Config, run: Address, at_a_time: int) -> tuple[Room, ...]:
    """What a search takes of disks; nothing where its inputs are at fault, which is found otherwise."""
    from search.planning.room import rooms

    try:
        return tuple(
            (str(room.folder), room.wanted, room.held, room.purpose, room.remedy)
            for room in rooms(config, run, at_a_time)
        )
    except UserError:
        return ()


def _at_a_time(config: Config) -> int:
    """Trials on the connected cluster; one where none fits, which is refused elsewhere."""
    try:
        return resources_on_cluster(config).at_a_time
    except UserError:
        return 1
