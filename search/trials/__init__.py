"""What a trial is: what its worker gets and reports, what it is worth, and how it ends.

states.py       names of a trial's states
job.py          a job, its parts, and the messages about it
job_queue.py    what hands out jobs
budget.py       how much training a configuration asks for
choice.py       successive halving over the seeds that choose a champion
listener.py     events of a job, and who is informed of them
objective.py    epochs -> what a trial is worth, and trials -> an order
view.py         a trial as the study knows it
"""

from search.trials.budget import Budget
from search.trials.job import Job, Message, Part, final_state, parts_of
from search.trials.job_queue import JobQueue
from search.trials.objective import (
    ObjectiveAccumulator,
    Score,
    epoch_rule,
    front_of,
    listed_by,
    ranked,
    score_curve,
    violations,
)
from search.trials.states import FAILED, STATES, State
from search.trials.view import Ending, Proposal, TrialView

__all__ = [
    "FAILED",
    "STATES",
    "Budget",
    "Ending",
    "Job",
    "JobQueue",
    "Message",
    "ObjectiveAccumulator",
    "Part",
    "Proposal",
    "Score",
    "State",
    "TrialView",
    "epoch_rule",
    "final_state",
    "front_of",
    "listed_by",
    "parts_of",
    "ranked",
    "score_curve",
    "violations",
]
