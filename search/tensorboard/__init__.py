"""What TensorBoard shows of a run.

event_file.py    a file of events as TensorBoard reads it
trials.py        one file a trial: curves and hyperparameters
summary.py       the search as a whole
retrain.py       the models of the final stage
panels.py        pictures of how the best trials rank
"""

from search.tensorboard.event_file import EventFile
from search.tensorboard.panels import DrawModel, draw_model, draw_panels
from search.tensorboard.retrain import RetrainEventFiles
from search.tensorboard.summary import EndedTrial, SearchEventFile
from search.tensorboard.trials import TrialEventFiles

__all__ = [
    "DrawModel",
    "EndedTrial",
    "EventFile",
    "RetrainEventFiles",
    "SearchEventFile",
    "TrialEventFiles",
    "draw_model",
    "draw_panels",
]
