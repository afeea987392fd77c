"""Joins a running cluster and prints how many CPUs it has. Arguments: the cluster's address."""

import sys

import ray

from launch.connection import connection

with connection(sys.argv[1])():
    print(ray.cluster_resources()["CPU"])
