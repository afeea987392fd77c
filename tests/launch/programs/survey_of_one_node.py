"""Surveys a Ray of its own: once with time to answer, once without. Arguments: the folder of runs."""

import sys

from launch.connection import local_ray
from launch.doctor import DoctorTimings, examine_cluster
from search.storage.address import Address

with local_ray(cpus=1):
    runs = Address.of(sys.argv[1])
    report = examine_cluster(None, runs)
    (node,) = report.nodes
    assert not report.faults, report.faults
    assert node.facts is not None
    assert node.facts["files"]["storage"].startswith("node-"), node
    assert abs(node.skew_s) < 5
    (silent,) = examine_cluster(None, runs, timings=DoctorTimings(answer_s=0.0)).nodes
    assert silent.facts is None
    assert "no answer within 0 s" in silent.failure
print("surveyed")
