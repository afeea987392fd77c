"""Jobs on machines: Ray Tune, reduced to what it is good at here.

stage.py             the steps of a stage, and what is done once before its first job
tune.py              places jobs on machines, stops them, carries their messages
retries.py           failures, lost nodes, free slots
worker.py            one job on one worker
node_admission.py    a node that joins late, looked at before it trains
resources.py         what one job takes of a machine, and how many fit
gpu_packing.py       how many trials share a GPU
teacher_targets.py   the teacher's outputs for every image, built before the first trial
"""

from search.execution.node_admission import NodeAdmission, require_admitted
from search.execution.resources import TrialResources, resources_on_cluster, resources_on_nodes
from search.execution.retries import RetryTimings
from search.execution.stage import Connect, Prepare, Stage, Timings, prepare, slots_alone
from search.execution.tune import run_jobs
from search.execution.worker import Train, train_student

__all__ = [
    "Connect",
    "NodeAdmission",
    "Prepare",
    "RetryTimings",
    "Stage",
    "Timings",
    "Train",
    "TrialResources",
    "prepare",
    "require_admitted",
    "resources_on_cluster",
    "resources_on_nodes",
    "run_jobs",
    "slots_alone",
    "train_student",
]
