"""Where the matches of a query stand in its ranked list.

distances.py    L2 distances between images, equal where they must be equal
lists.py        one list a query, or one a person, chunk by chunk
people.py       ranks of people instead of images
ties.py         what a list is worth on average over the orders of what is equally far
"""

from owkd.evaluation.ranking.distances import condition
from owkd.evaluation.ranking.lists import Hidden, Images, rank_identities, rank_queries
from owkd.evaluation.ranking.ties import MatchRanks

__all__ = ["Hidden", "Images", "MatchRanks", "condition", "rank_identities", "rank_queries"]
