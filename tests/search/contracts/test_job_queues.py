"""What `JobQueue` promises, held to by every queue there is, alone and with a store behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from owkd.config import Config, parse_config
from search.recorder import SearchRecorder
from search.retrain.candidates import select_candidates
from search.retrain.models.recorder import RetrainRecorder
from search.retrain.models.records import Records
from search.retrain.models.selection import Selection
from search.runs.durable import DurableRecorder
from search.runs.layout import RunFolder
from search.runs.lock import lock_run
from search.runs.manifest import create, open_run
from search.storage.mirror import Mirror
from search.storage.timings import StoreTimings
from search.study.study import Study
from search.trials.job import Job, Message
from search.trials.job_queue import JobQueue, WholeCalls
from search.trials.listener import ActiveJob, EpochRecord, JobListener
from search.trials.view import Ending
from tests.support.fake_training import fake_config, fake_run
from tests.support.handed_out import next_job
from tests.support.inline_jobs import do_job, work_off
from tests.support.s3_server import s3 as s3

JOBS = 2
QUICK = StoreTimings(settle_s=0.0)


class Seen(JobListener[ActiveJob]):
    """Notes the events of a queue."""

    def __init__(self) -> None:
        self.events: list[tuple] = []

    def job_started(self, job: ActiveJob) -> None:
        self.events.append(("started", job.key, job.attempt))

    def epoch_recorded(self, job: ActiveJob, epoch: EpochRecord) -> None:
        self.events.append(("epoch", job.key, epoch.step, epoch.is_new))

    def job_crashed(self, job: ActiveJob, message: Message) -> None:
        self.events.append(("crashed", job.key, message.error_text))

    def job_ended(self, job: ActiveJob, ending: Ending) -> None:
        self.events.append(("ended", job.key, ending.state, ending.error_text))

    def job_interrupted(self, job: ActiveJob, reason: str) -> None:
        self.events.append(("interrupted", job.key, reason))

    def waiting(self, reason: str) -> None:
        self.events.append(("waiting", reason))


def failure(key: str) -> Message:
    return Message(key, "crashed", 1, math.nan, "Fold1", 0, 0, (), False, 0.0, "node", error_text="a cable came loose")


def layers(queue: Any) -> Iterator[type[Any]]:
    """Kinds of a queue and of those that it stands before."""
    while queue is not None:
        yield type(queue)
        queue = getattr(queue, "_queue", None)


class JobQueueContract:
    """Subclasses give `folder`, a locked run, and `open_queue`, which opens its queue as each driver does."""

    implementation: tuple[type[Any], ...]
    """what stands before what"""
    seen: Seen

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[RunFolder]:
        folder = create(tmp_path / "runs" / "fake", self.config(tmp_path), {})
        with lock_run(folder):
            yield folder

    def config(self, tmp_path: Path) -> Config:
        raw = fake_config(tmp_path, trials=JOBS)
        return parse_config({**raw, "retrain": {"top_k": 1, "seeds": 1, "epochs": 4}})

    def open_queue(self, folder: RunFolder) -> JobQueue:
        raise NotImplementedError

    @pytest.fixture
    def queue(self, folder: RunFolder) -> JobQueue:
        return self.open_queue(folder)

    def events(self, *kinds: str) -> list[tuple]:
        return [event for event in self.seen.events if event[0] in kinds]

    def test_it_is_the_one_that_is_named(self, queue: JobQueue) -> None:
        assert tuple(layers(queue))[: len(self.implementation)] == self.implementation

    def test_every_job_is_handed_out_once(self, queue: JobQueue) -> None:
        keys = [job.key for job in iter(queue.next_job, None)]
        assert len(set(keys)) == len(keys) == JOBS
        assert queue.next_job() is None

    def test_what_is_over_is_not_handed_out_again(self, queue: JobQueue, folder: RunFolder) -> None:
        work_off(queue)
        assert [event[2] for event in self.events("ended")] == ["complete"] * JOBS
        assert self.open_queue(folder).next_job() is None

    def test_what_is_not_over_is_handed_out_again_under_its_key(self, queue: JobQueue, folder: RunFolder) -> None:
        first, second = next_job(queue), next_job(queue)
        do_job(queue, first)
        queue.job_started(second.key)
        again = self.open_queue(folder)
        job = next_job(again)
        assert (job.key, job.config, job.parts, job.directory) == (
            *(second.key, second.config, second.parts, second.directory),
        )
        assert again.next_job() is None

    def test_an_epoch_that_is_reported_again_is_not_new(self, queue: JobQueue, folder: RunFolder) -> None:
        job = next_job(queue)
        self.report(queue, job, until=2)
        self.report(queue, job, until=math.inf)
        steps = [event[2:] for event in self.events("epoch")]
        assert steps == [(1, True), (2, True), (1, False), (2, False), (3, True), (4, True)]

    def test_attempts_are_counted(self, queue: JobQueue) -> None:
        job = next_job(queue)
        queue.job_started(job.key)
        queue.job_interrupted(job.key, "its node is gone")
        queue.waiting("none is free")
        queue.job_started(job.key, 0.5)
        assert self.seen.events == [
            ("started", job.key, 1),
            ("interrupted", job.key, "its node is gone"),
            ("waiting", "none is free"),
            ("started", job.key, 2),
        ]

    def test_a_job_that_failed_is_over_with_the_text_of_its_crash(self, queue: JobQueue) -> None:
        job = next_job(queue)
        queue.job_started(job.key)
        queue.message_received(failure(job.key))
        queue.job_failed(job.key, "the worker died")
        other = next_job(queue)
        queue.job_started(other.key)
        queue.job_failed(other.key, "the worker died")
        assert self.events("crashed") == [("crashed", job.key, "a cable came loose")]
        assert self.events("ended") == [
            ("ended", job.key, "error", "a cable came loose"),
            ("ended", other.key, "error", "the worker died"),
        ]

    def report(self, queue: JobQueue, job: Job, until: float) -> None:
        """One attempt, which ends after so many epochs without a word."""
        count = 0

        def train(config: Config, report: Any = None, **where: Any) -> Any:
            def counted(epoch: Any) -> None:
                nonlocal count
                report(epoch)
                count += 1
                if count == until:
                    raise KeyboardInterrupt

            return fake_run(config, counted, **where)

        try:
            do_job(queue, job, train)
        except KeyboardInterrupt:
            assert count == until


class SearchQueue(JobQueueContract):
    implementation: tuple[type[Any], ...] = (WholeCalls, SearchRecorder)

    def recorder(self, folder: RunFolder) -> SearchRecorder:
        config = open_run(folder.address, drive=True)[1]
        recorder = SearchRecorder(folder, config, Study(folder.journal, folder.name, config))
        self.seen = Seen()
        recorder.listeners.append(self.seen)
        return recorder

    def open_queue(self, folder: RunFolder) -> JobQueue:
        return folder.durable(self.recorder(folder))


class RetrainQueue(JobQueueContract):
    implementation: tuple[type[Any], ...] = (WholeCalls, RetrainRecorder)

    def recorder(self, folder: RunFolder) -> RetrainRecorder:
        config = open_run(folder.address, drive=True)[1]
        records = Records(folder, config.search.leading_metric)
        recorder = RetrainRecorder(Selection(config, select_candidates(config, []), records), folder)
        self.seen = Seen()
        recorder.listeners.append(self.seen)
        return recorder

    def open_queue(self, folder: RunFolder) -> JobQueue:
        return folder.durable(self.recorder(folder))


class InAStore(JobQueueContract):
    """The run lies in a store: nobody relies on anything that is not there."""

    implementation: tuple[type[Any], ...] = (DurableRecorder, WholeCalls)

    @pytest.fixture
    def folder(self, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        folder = create(f"{s3}/{type(self).__name__}/{tmp_path.name}", self.config(tmp_path), {}, QUICK)
        with lock_run(folder):
            yield folder

    def test_what_others_rely_on_is_in_the_store(self, queue: JobQueue, folder: RunFolder) -> None:
        mirror = folder.mirror
        assert mirror is not None, "the run is not in a store"
        job = next_job(queue)
        assert self.missing(mirror) == set()
        do_job(queue, job)
        assert self.missing(mirror) == set()
        failed = next_job(queue)
        queue.job_started(failed.key)
        queue.job_failed(failed.key, "the worker died")
        assert self.missing(mirror) == set()

    @staticmethod
    def missing(mirror: Mirror) -> set[str]:
        """Files of the working copy that the store does not hold in that size."""
        stored = mirror.place.files()
        return {path for path, stat in mirror._scan().items() if path not in stored or stored[path].size != stat.size}


class TestSearchRecorder(SearchQueue):
    pass


class TestRetrainRecorder(RetrainQueue):
    pass


class TestDurableSearchRecorder(InAStore, SearchQueue):
    pass


class TestDurableRetrainRecorder(InAStore, RetrainQueue):
    pass
