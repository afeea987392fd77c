"""A search before it starts.

mistakes.py           every mistake at once
plan.py               what it will do, how long, and how much room it takes
power.py              which lead its final stage will be able to show
costs.py              its epochs, and their time on this machine
disk_use.py           all that it writes, and whether there is room for it
room.py               the room that it needs on each disk before its first trial
checkpoint_bound.py   the most room that checkpoints take
wording.py            what a configuration asks for, in words
"""

from search.planning.checkpoint_bound import CheckpointBound, checkpoint_bound
from search.planning.costs import Costs
from search.planning.disk_use import DiskUse
from search.planning.mistakes import find_mistakes
from search.planning.plan import Plan, make_plan

__all__ = ["CheckpointBound", "Costs", "DiskUse", "Plan", "checkpoint_bound", "find_mistakes", "make_plan"]
