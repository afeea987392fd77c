"""How many trials a Ray of our own runs at a time in a process that may use one CPU and no GPU."""

import os

import ray

from launch.connection import local_ray
from owkd.config import parse_config
from search.execution.resources import resources_on_cluster

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
tree = {"data": {"root": "d", "dataset": "s"}, "train": {"epochs": 1}, "teacher": {"checkpoint": "t"}}
with local_ray():
    print(resources_on_cluster(parse_config(tree)).at_a_time, ray.cluster_resources().get("GPU", 0))
