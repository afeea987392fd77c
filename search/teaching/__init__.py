"""Whether a teacher has something to teach: how far it is ahead of a student that learned without it.

lead.py      the lead of each member of the ensemble with its interval: pure functions of arrays
words.py     what the leads allow to say
tables.py    the scores that they are made of, as Parquet
measure.py   the teacher and trial 1 on the validation split, measured on the cluster
run.py       what a run says of its teacher
"""

from search.teaching.lead import ENSEMBLE, TeacherLead, leads_on_fold, teacher_lead
from search.teaching.measure import ModelKey, Validate, measure_models, validate_model
from search.teaching.run import recorded_leads, sentences_before, sentences_of_run, spread_of
from search.teaching.tables import STUDENT, TEACHER, TeachingTables
from search.teaching.words import figures_in_words, leads_in_words, verdict_in_words

__all__ = [
    "ENSEMBLE",
    "STUDENT",
    "TEACHER",
    "ModelKey",
    "TeacherLead",
    "TeachingTables",
    "Validate",
    "figures_in_words",
    "leads_in_words",
    "leads_on_fold",
    "measure_models",
    "recorded_leads",
    "sentences_before",
    "sentences_of_run",
    "spread_of",
    "teacher_lead",
    "validate_model",
    "verdict_in_words",
]
