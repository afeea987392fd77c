"""Our search in virtual time: the study, the recorder, the scheduler and the race as they are on Ray."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.landscapes import Landscape
from benchmarks.rivals.ledger import Ledger, Outcome
from benchmarks.rivals.virtual_time import in_slots, messages_of, scratch_folder
from search.recorder import SearchRecorder
from search.runs.manifest import create
from search.schedulers import make_scheduler
from search.study.study import Study
from search.trials.job import Job
from search.trials.view import NO_DISTILLATION_NAME


def search(land: Landscape, *, sampler: str = "auto", scheduler: str = "asha") -> Outcome:
    """A whole search with one of our samplers and one of our schedulers."""
    config = land.configuration(land.seed, sampler, scheduler)
    ledger = Ledger(land, config.search)
    with scratch_folder() as scratch:
        folder = create(Path(scratch) / "bench", config, {})
        recorder = SearchRecorder(folder, config, Study(folder.journal, folder.name, config))
        decider = make_scheduler(config, [], recorder.gives_up, recorder.spares)

        def begin() -> _Trial | None:
            started = time.process_time()
            job = _next_job(recorder)
            ledger.proposing += time.process_time() - started
            if job is None:
                return None
            ledger.trials += 1
            return _Trial(land, ledger, recorder, decider, job)

        in_slots(begin, lambda: ledger.over)
        recorder.event_files.close()
    return ledger.outcome()


def _next_job(recorder: SearchRecorder) -> Job | None:
    """The next one that has a setting: no rival trains without distillation, and no searcher learns from it."""
    while (job := recorder.next_job()) is not None:
        if recorder.study.view(_number(job)).fixed != NO_DISTILLATION_NAME:
            return job
        recorder.job_started(job.key)
        recorder.job_failed(job.key, "not trained")
    return None


def _number(job: Job) -> int:
    return int(job.key.rpartition("-")[2])


class _Trial:
    def __init__(self, land: Landscape, ledger: Ledger, recorder: SearchRecorder, decider: Any, job: Job) -> None:
        self.ledger, self.recorder, self.decider, self.job = ledger, recorder, decider, job
        self.messages = messages_of(land, job)
        self.ray: Any = SimpleNamespace(config={"key": job.key}, trial_id=job.key)
        decider.on_trial_add(None, self.ray)
        recorder.job_started(job.key)

    def epoch(self) -> bool:
        """In the order of Tune's controller: the scheduler decides, then the callback hears."""
        message = self.messages.pop(0)
        self.ledger.used += 1
        stops = self.decider.on_trial_result(None, self.ray, asdict(message)) == "STOP"
        self.recorder.message_received(message)
        if not stops and self.messages:
            return True
        if message.state == "complete":
            values = self.recorder.study.view(_number(self.job)).values
            self.ledger.completed(values, dict(message.judged))
        self.recorder.job_stopped(self.job.key, message)
        return False
