"""The study as a listener: what the tables have by now, it learns next."""

from __future__ import annotations

from search.study.study import Study
from search.trials.listener import ActiveTrial, EpochRecord, JobListener
from search.trials.view import Ending


class StudyListener(JobListener[ActiveTrial]):
    """Records in the study, and renews the view that all listeners after it take of a trial."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def job_started(self, job: ActiveTrial) -> None:
        self._study.started(job.number, job.gpu)
        job.view = self._study.view(job.number)
        job.attempt = job.view.attempt

    def epoch_recorded(self, job: ActiveTrial, epoch: EpochRecord) -> None:
        self._study.report(job.number, epoch.step, epoch.objective, epoch.host, epoch.score)
        if epoch.is_new:
            job.view = self._study.view(job.number)

    def job_ended(self, job: ActiveTrial, ending: Ending) -> None:
        job.view = self._study.finish(job.number, ending)
        job.objective, job.stopped_at = job.view.objective, job.view.stopped_at
