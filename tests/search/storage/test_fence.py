"""One attempt at a job writes at a time: what a node that was given up still does reaches no checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from owkd.config import parse_config
from search.execution.tune import _TuneCallback, _TuneSearcher
from search.execution.worker import work
from search.storage.fence import NAME, Fence, SupersededError
from search.trials.job import Job, Message, Part
from tests.support.fake_training import fake_config, fake_run


def test_the_driver_counts_on_and_only_the_last_attempt_is_current(tmp_path: Path) -> None:
    first = Fence(str(tmp_path / "trial"), Fence(str(tmp_path / "trial")).next_attempt())
    assert first.attempt == 1
    first.require()
    second = replace(first, attempt=first.next_attempt())
    second.require()
    with pytest.raises(SupersededError, match=r"attempt 1 must be the current one in .*trial, but is 2"):
        first.require()
    (tmp_path / "trial" / NAME).unlink()  # the job is over
    with pytest.raises(SupersededError, match="but is 0"):
        second.require()
    Fence(str(tmp_path / "trial")).require()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "data").mkdir()
    config = parse_config(fake_config(tmp_path)).to_dict()
    found = Job("trial-00000", config, (Part("Fold1", 0),), str(tmp_path / "checkpoints" / "trial-00000"))
    return replace(found, attempt=found.fence.next_attempt())


def test_every_job_that_goes_out_is_a_further_attempt(job: Job) -> None:
    policy: Any = SimpleNamespace(next=lambda: job, over=False, healthy_nodes=set(), excluded_nodes=set())
    resources: Any = SimpleNamespace(cpu=1, gpu=0)
    queue: Any = None
    searcher = _TuneSearcher(policy, resources, _TuneCallback(queue, policy))
    assert [json.loads(searcher.suggest("")["job"])["attempt"] for _ in range(2)] == [2, 3]


def contents(job: Job) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(job.directory).rglob("*") if path.is_file()}


def test_a_worker_that_was_given_up_stops_at_its_next_file(job: Job) -> None:
    """Its successor has begun, and trained further, while its second epoch was under way."""
    sent: list[Message] = []
    after: dict[str, bytes] = {}

    def send(message: Message) -> None:
        sent.append(message)
        if message.epoch == 1:
            successor = replace(job, attempt=job.fence.next_attempt())
            work(asdict(successor), train=fake_run, send=lambda message: None)
            after.update(contents(job))

    work(asdict(job), train=fake_run, send=send)
    assert [message.epoch for message in sent] == [1]
    assert len(after) == 3
    assert contents(job) == after


def test_a_worker_that_begins_late_writes_nothing(job: Job) -> None:
    sent: list[Message] = []
    Fence(job.fence.folder).next_attempt()
    before = contents(job)
    work(asdict(job), train=fake_run, send=sent.append)
    assert sent == []
    assert contents(job) == before


def test_a_job_that_nobody_counts_is_done(job: Job) -> None:
    sent: list[Message] = []
    work(asdict(replace(job, attempt=0)), train=fake_run, send=sent.append)
    assert sent[-1].state == "complete"
