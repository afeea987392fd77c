"""A search whose nodes join and vanish."""

import threading
import time
from contextlib import contextmanager

import ray
from ray.cluster_utils import Cluster

from search.execution.retries import RetryTimings
from search.results.tables import read_epochs, read_trials
from tests.search.programs.failing_search import go, run

size = {"object_store_memory": 10**8}
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False, **size))
first = cluster.add_node(num_cpus=1, **size)


@contextmanager
def connect():
    with ray.init(address=cluster.address, log_to_driver=False):
        yield


def until(condition):
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def epochs(trial):
    return read_epochs(run / "results")["trial"].to_pylist().count(trial)


timings = RetryTimings(patience_s=2.0)
searching = threading.Thread(target=go, args=[connect, timings], kwargs={"trials": 2, "epochs": 40, "max_failures": 0})
searching.start()  # nodes are started from the main thread only
until(lambda: epochs(0) >= 1)
second = cluster.add_node(num_cpus=1, **size)
until(lambda: epochs(1) >= 1)
print("the node that joined has a trial")
cluster.remove_node(first, allow_graceful=False)
until(lambda: read_trials(run / "results")["attempt"].to_pylist()[0] == 2)
print("the interrupted trial runs on the other node")
cluster.remove_node(second, allow_graceful=False)
time.sleep(20)
cluster.add_node(num_cpus=1, **size)
searching.join()
cluster.shutdown()
