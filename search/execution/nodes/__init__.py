"""What a failure says of the machine that it happened on.

faults.py      errors of a machine, told from those of a trial
standing.py    failures by node and GPU: which nodes are left out, and which failures count against no trial
workers.py     which node each job is on
low_memory.py  workers that Ray killed because their node ran low on memory; not imported here, as it loads Tune
"""

from search.execution.nodes.faults import fault_in_words, is_node_fault
from search.execution.nodes.standing import STREAK, Failure, NodeStanding, Place
from search.execution.nodes.workers import Nodes, Workers

__all__ = [
    "STREAK",
    "Failure",
    "NodeStanding",
    "Nodes",
    "Place",
    "Workers",
    "fault_in_words",
    "is_node_fault",
]
