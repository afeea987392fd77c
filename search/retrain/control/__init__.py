"""What searching is compared with: as many epochs of random trials, in a run of their own within the run.

decision.py        whether a run has a control, and why
random_search.py   its trials, until they took as many epochs as the search's
"""

from search.retrain.control.decision import UNCLAIMED, ControlDecision, decide_on_control
from search.retrain.control.random_search import ControlSearch

__all__ = ["UNCLAIMED", "ControlDecision", "ControlSearch", "decide_on_control"]
