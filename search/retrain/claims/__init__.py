"""What the final stage may claim, and on what grounds: pure functions of arrays, without Ray and torch.

scores.py    one setting's figures on the test split: fold, seed, query, identity
leads.py     a lead with its interval: on this test split, and for people of this kind
order.py     comparisons in a fixed order, each tested as long as those before it held
design.py    what a run can say at all
words.py     one sentence about a comparison that a reader can quote
"""

from search.power import ERROR
from search.retrain.claims.design import design_in_words
from search.retrain.claims.leads import Lead, lead_for_people, lead_on_split
from search.retrain.claims.order import (
    KINDS,
    Claim,
    Kind,
    PlannedComparison,
    Status,
    by_comparison,
    claims_in_order,
    planned_order,
)
from search.retrain.claims.scores import Scores
from search.retrain.claims.words import CAVEAT, in_words, interval, intervals, level, points

__all__ = [
    "CAVEAT",
    "ERROR",
    "KINDS",
    "Claim",
    "Kind",
    "Lead",
    "PlannedComparison",
    "Scores",
    "Status",
    "by_comparison",
    "claims_in_order",
    "design_in_words",
    "in_words",
    "interval",
    "intervals",
    "lead_for_people",
    "lead_on_split",
    "level",
    "planned_order",
    "points",
]
