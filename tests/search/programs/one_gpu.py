"""Two folds on shares of one GPU that Ray is told of: memory that runs out, workers that die, a poor first fold."""

from contextlib import contextmanager

import ray

from search.execution.retries import RetryTimings
from tests.search.programs.failing_search import go


@contextmanager
def connect():
    quiet = {"include_dashboard": False, "log_to_driver": False}
    with ray.init(address="local", num_cpus=2, num_gpus=1, object_store_memory=10**8, **quiet):
        yield


settings = {"resources": {"cpu": 1, "gpu": 0.5}, "max_failures": 2}
go(connect, RetryTimings(undecided_s=0.5), folds=["Fold1", "Fold2"], trials=7, **settings)
