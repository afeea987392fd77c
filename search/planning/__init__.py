"""A search before it starts.

plan.py       every mistake at once; or what it will do, how long, and how much room it takes
disk.py       the most room that checkpoints take
wording.py    what a configuration asks for, in words
"""

from search.planning.disk import DiskBound, disk_bound
from search.planning.plan import Plan, make_plan, mistakes

__all__ = ["DiskBound", "Plan", "disk_bound", "make_plan", "mistakes"]
