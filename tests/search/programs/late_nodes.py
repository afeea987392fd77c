"""A search that two nodes join late, one of which cannot serve: `late_nodes.py FOLDER TRIALS`."""

import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from rich.console import Console

from owkd.config import parse_config
from search.execution.node_admission import NodeAdmission
from search.run_search import Work, search
from tests.support.fake_training import fake_check, fake_config, fake_run

tmp, TRIALS = Path(sys.argv[1]), int(sys.argv[2])
size = {"object_store_memory": 10**8}
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False, **size))
cluster.add_node(num_cpus=1, **size)


def here():
    # What Ray knows of the node that this worker is on.
    import ray

    me = ray.get_runtime_context().get_node_id()
    return next(node for node in ray.nodes() if node["NodeID"] == me)


def note(name):
    with (tmp / name).open("a") as log:
        log.write(here()["NodeID"] + chr(10))


def train(config, report=None, *, fold, directory, seed=None):
    note("trained.log")
    return fake_run(config, report, fold=fold, directory=directory, seed=seed)


def look():
    # As `launch.doctor.node_checks.faults_here`.
    note("looked.log")
    return "data must be readable; put it there" if "broken" in here()["Resources"] else ""


@contextmanager
def connect():
    with ray.init(address=cluster.address, log_to_driver=False):
        yield NodeAdmission(ray.cloudpickle.dumps(look), frozenset(node["NodeID"] for node in ray.nodes()))


def go():
    raw = fake_config(tmp, trials=TRIALS, max_failures=0)
    raw["train"]["epochs"] = 6
    console = Console(width=300)
    search(parse_config(raw), tmp / "runs" / "fake", connect=connect, console=console, work=Work(train, fake_check))


def lines(name):
    return (tmp / name).read_text().split() if (tmp / name).exists() else []


def until(condition):
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


searching = threading.Thread(target=go)
searching.start()  # nodes are started from the main thread only
until(lambda: lines("trained.log"))
broken = cluster.add_node(num_cpus=1, resources={"broken": 1}, **size).node_id
until(lambda: broken in lines("looked.log"))
late = cluster.add_node(num_cpus=1, **size).node_id
until(lambda: lines("trained.log").count(late) >= 2)
searching.join()
assert broken not in lines("trained.log")
assert lines("looked.log") == [broken, late], (broken, late, lines("looked.log"))
cluster.shutdown()
