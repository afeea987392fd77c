"""The final stage: the best configurations in full beside two baselines, and the test split opened once.

stage.py             its steps, in their order
candidates.py        who takes part
models/              who is chosen, their queue, and what became of each
test_evaluation.py   the test split, opened here and nowhere else
findings.py          what the tested models come to: the comparison, and what may be said
comparison.py        the result, in words and figures
champion.py          what one takes home, and for whom the test split was opened before
claims/              what may be claimed: leads with intervals, their power, their order, their words
tables.py            the same as Parquet
queries.py           what the tested models scored on each query, as Parquet
"""

from search.retrain.candidates import Candidate, Model, select_candidates
from search.retrain.comparison import Comparison
from search.retrain.models.records import ModelRecord
from search.retrain.stage import FinalWork, Outcome, retrain
from search.retrain.test_evaluation import missing_test_splits

__all__ = [
    "Candidate",
    "Comparison",
    "FinalWork",
    "Model",
    "ModelRecord",
    "Outcome",
    "missing_test_splits",
    "retrain",
    "select_candidates",
]
