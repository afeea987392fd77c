"""Where the matches of a query stand in its ranked list.

distances.py    L2 distances between images, equal where they must be equal
expansion.py    queries that are expanded by their neighbours
nearest.py      the k nearest images
rerank.py       re-ranking with k-reciprocal encoding
lists.py        one list a query, or one a person, chunk by chunk
people.py       ranks of people instead of images
ties.py         what a list is worth on average over the orders of what is equally far
"""

from owkd.evaluation.ranking.distances import condition
from owkd.evaluation.ranking.expansion import ExpandedQueries
from owkd.evaluation.ranking.lists import Hidden, Images, Rows, left_out, rank_identities, rank_queries
from owkd.evaluation.ranking.rerank import Reranked
from owkd.evaluation.ranking.ties import MatchRanks

__all__ = [
    "ExpandedQueries",
    "Hidden",
    "Images",
    "MatchRanks",
    "Reranked",
    "Rows",
    "condition",
    "left_out",
    "rank_identities",
    "rank_queries",
]
