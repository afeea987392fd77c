"""A pilot: a few trainings before a search, which measure how far equal settings differ by luck.

models.py     which models it trains
findings.py   what they say: spread, its interval, what it means for the test seeds
words.py      the same in words
stage.py      training them, and what is kept
"""

from search.pilot.findings import Pilot, find_pilot, pilot_address
from search.pilot.models import PILOT_SEEDS
from search.pilot.stage import PilotWork, run_pilot
from search.pilot.words import pilot_in_words

__all__ = ["PILOT_SEEDS", "Pilot", "PilotWork", "find_pilot", "pilot_address", "pilot_in_words", "run_pilot"]
