"""A search on two nodes, one of which has no room from the middle on: `one_full_disk.py FOLDER TRIALS`."""

import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from rich.console import Console

from owkd.config import parse_config
from search.results.tables import read_trials
from search.run_search import Work, search
from tests.support.fake_training import fake_check, fake_config, fake_run

tmp, TRIALS = Path(sys.argv[1]), int(sys.argv[2])
size = {"object_store_memory": 10**8}
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False, **size))
nodes = [cluster.add_node(num_cpus=1, **size).node_id for _ in range(2)]
(tmp / "data").mkdir()


def train(config, report=None, *, fold, directory, seed=None):
    with (tmp / "trained.log").open("a") as log:
        log.write(f"{ray.get_runtime_context().get_node_id()}\n")
    return fake_run(config, report, fold=fold, directory=directory, seed=seed)


@contextmanager
def connect():
    with ray.init(address=cluster.address, log_to_driver=False):
        yield


def go():
    config = parse_config(fake_config(tmp, trials=TRIALS, max_failures=0))
    console = Console(width=300)
    search(config, tmp / "runs" / "fake", connect=connect, console=console, work=Work(train, fake_check))


def complete():
    results = tmp / "runs" / "fake" / "results"
    return read_trials(results)["state"].to_pylist().count("complete") if results.exists() else 0


searching = threading.Thread(target=go)
searching.start()
deadline = time.monotonic() + 150
while complete() < TRIALS // 4 or len(set((tmp / "trained.log").read_text().split())) < 2:
    assert time.monotonic() < deadline
    time.sleep(0.1)
(tmp / "data" / "full-nodes").write_text(nodes[1])
searching.join()
print("full:", nodes[1])
cluster.shutdown()
