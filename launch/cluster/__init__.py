"""Ray clusters: described by a file, started, given searches as jobs, watched and taken down.

file.py          the cluster's file: templates, reading, checks
ray_command.py   Ray's own command line
head.py          the head of a running cluster: tunnel, token, job client, nodes
submission.py    one command of owkd, made to run on the head
jobs.py          commands as jobs: submitted, followed, listed
up.py            the cluster checked, started, waited for and taken down

Ray itself is imported inside functions only.
"""

from launch.cluster.file import Kind, write_template
from launch.cluster.head import ClusterTimings
from launch.cluster.jobs import follow_job, print_status, submit_job
from launch.cluster.submission import COMMANDS
from launch.cluster.up import await_workers, check_cluster, start_cluster, stop_cluster

__all__ = [
    "COMMANDS",
    "ClusterTimings",
    "Kind",
    "await_workers",
    "check_cluster",
    "follow_job",
    "print_status",
    "start_cluster",
    "stop_cluster",
    "submit_job",
    "write_template",
]
