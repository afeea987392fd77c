"""Whether nodes can serve a search: asked of each, compared with the driver, shown as a table.

node_facts.py      the facts of a machine; shipped to nodes by its source
node_checks.py     a node's facts compared with the driver's: faults and remedies; shipped too
storage_probe.py   whether driver and nodes see each other's files
node_survey.py     one task on every node of a cluster
preflight.py       all nodes examined before a search, and those that join later
node_table.py      the nodes as a table
run_doctor.py      `owkd doctor`
run_files.py       `owkd doctor RUN`
"""

from launch.doctor.node_checks import Fault, NodeReport
from launch.doctor.node_survey import DoctorTimings
from launch.doctor.preflight import (
    ClusterReport,
    admit_nodes,
    examine_cluster,
    examine_this_machine,
    refuse_faults,
    require_room,
)
from launch.doctor.run_doctor import run_doctor
from launch.doctor.run_files import check_run

__all__ = [
    "ClusterReport",
    "DoctorTimings",
    "Fault",
    "NodeReport",
    "admit_nodes",
    "check_run",
    "examine_cluster",
    "examine_this_machine",
    "refuse_faults",
    "require_room",
    "run_doctor",
]
