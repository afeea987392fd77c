"""What a queue or a study hands out next, for tests in which there must be something."""

from __future__ import annotations

from search.study.study import Study
from search.trials.job import Job
from search.trials.job_queue import JobQueue
from search.trials.view import Proposal


def next_job(queue: JobQueue) -> Job:
    job = queue.next_job()
    assert job is not None, "the queue has no job"
    return job


def next_proposal(study: Study) -> Proposal:
    proposal = study.next()
    assert proposal is not None, "the study has no trial to run"
    return proposal
