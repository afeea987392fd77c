"""The models of the final stage, from their queue to their records.

selection.py   which of them there are, round by round, until one candidate is left
looks.py       looks at the test split: with which seeds, and what each showed
recorder.py    hands them out, and records what becomes of them
records.py     what became of each, on disk and when asked
training.py    trains them on all workers there are
"""

from search.retrain.models.looks import Look, Looks, Plan
from search.retrain.models.recorder import ActiveModel, ModelSource, RetrainRecorder
from search.retrain.models.records import ModelRecord, Records
from search.retrain.models.selection import Selection
from search.retrain.models.training import train_models

__all__ = [
    "ActiveModel",
    "Look",
    "Looks",
    "ModelRecord",
    "ModelSource",
    "Plan",
    "Records",
    "RetrainRecorder",
    "Selection",
    "train_models",
]
