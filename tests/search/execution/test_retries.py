"""What follows when an attempt fails, and how many are out at a time; no Ray needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.execution.resources import TrialResources
from search.execution.retries import RETRY_TIMINGS, RetryPolicy
from tests.support.retrying import Clock, FakeNodes, Recorder, job, last

CPU = TrialResources(1.0, 0.0, 2)
HALF = TrialResources(1.0, 0.5, 2)


def attempts(queue: Recorder, nodes: FakeNodes, share: TrialResources = CPU, max_failures: int = 1):
    clock = Clock()
    return RetryPolicy(queue, share, max_failures, nodes, clock=clock), clock


def take(found: RetryPolicy, worker: str = "w on a") -> str:
    """A job goes out and a worker takes it up -> its key."""
    taken = found.next()
    assert taken is not None
    found.started(taken.key, worker)
    return taken.key


def test_a_failure_is_tried_again_as_often_as_allowed() -> None:
    queue = Recorder(job(1))
    found, _ = attempts(queue, FakeNodes(a=2))
    found.failed(take(found), "first")
    assert not found.over
    found.failed(take(found), "second")
    assert queue.events[-1] == ("failed", "job-1", "second")
    assert found.next() is None
    assert found.over


def test_a_lost_node_is_no_failure_of_its_jobs() -> None:
    """Ten times: `max_failures` is 1."""
    queue, nodes = Recorder(job(1)), FakeNodes(a=2, b=2)
    found, clock = attempts(queue, nodes)
    for _ in range(10):
        key = take(found, "w on b")
        del nodes.by_name["b"]
        found.worker_died(key, "its node has died")
        nodes.by_name["b"] = 2
        clock.now += RETRY_TIMINGS.look_s
    found.failed(take(found), "an exception")
    found.ended(take(found), last("job-1", "complete"))
    assert [word[0] for word in queue.events].count("interrupted") == 10
    assert queue.events[-1] == ("stopped", "job-1", "complete")


def test_a_job_that_comes_back_from_an_unfit_node_is_no_failure_and_that_node_gets_no_more() -> None:
    queue, nodes = Recorder(job(1), job(2), job(3)), FakeNodes(a=1, b=1)
    found, _ = attempts(queue, nodes, max_failures=0)
    take(found, "w on a")
    returned = take(found, "v on b")
    found.ended(returned, replace(last(returned, "unfit"), error_text="b: no data"))
    assert found.excluded_nodes == {"b"}
    assert queue.events[-1] == ("interrupted", returned)
    assert found.next() is None  # the one slot that is left is taken
    found.epoch_reported(last("job-1", "running"))
    assert found.healthy_nodes == {"a"}
    found.ended("job-1", last("job-1", "complete"))
    assert take(found, "w on a") == returned
    found.ended(returned, last(returned, "complete"))
    assert queue.events[-1:] == [("stopped", returned, "complete")]


def test_a_worker_that_dies_is_in_doubt_until_its_node_is_known_to_live_or_not() -> None:
    queue, nodes = Recorder(job(1), job(2)), FakeNodes(a=2, b=2)
    found, clock = attempts(queue, nodes, max_failures=0)
    for worker in ("w on a", "w on b"):
        take(found, worker)
    found.worker_died("job-1", "segmentation fault")
    found.worker_died("job-2", "connection lost")
    assert found.next() is None
    assert not found.over
    clock.now += RETRY_TIMINGS.undecided_s / 2
    del nodes.by_name["b"]
    again = found.next()
    assert again is not None
    assert again.key == "job-2"
    assert ("interrupted", "job-2") in queue.events
    clock.now += RETRY_TIMINGS.undecided_s / 2
    found.settle()
    assert ("failed", "job-1", "segmentation fault") in queue.events
    assert ("failed", "job-2", "connection lost") not in queue.events


def test_a_preempted_node_is_lost_at_once_though_it_lives_yet() -> None:
    queue = Recorder(job(1))
    found, _ = attempts(queue, FakeNodes(a=2), max_failures=0)
    found.worker_died(take(found), "preempted", preempted=True)
    assert take(found) == "job-1"


def test_a_worker_that_never_started_counts() -> None:
    queue = Recorder(job(1))
    found, _ = attempts(queue, FakeNodes(a=2), max_failures=0)
    assert found.next() is not None
    found.worker_died("job-1", "it would not start")
    assert queue.events == [("failed", "job-1", "it would not start")]


def test_memory_that_ran_out_gets_one_more_attempt_on_twice_the_share() -> None:
    queue = Recorder(job(1), job(2))
    found, _ = attempts(queue, FakeNodes(a=2), HALF)
    take(found)
    found.ended("job-1", last("job-1", "out_of_memory"))
    larger = found.next()
    assert larger == replace(job(1), gpu=1.0)
    found.started("job-1", "w on a")
    assert found.next() is None  # it takes both slots
    found.ended("job-1", last("job-1", "out_of_memory"))
    assert queue.events == [
        ("started", "job-1", 0.5),
        ("started", "job-1", 1.0),
        ("stopped", "job-1", "out_of_memory"),
    ]
    assert take(found) == "job-2"


@pytest.mark.parametrize("share", [CPU, TrialResources(1.0, 1.0, 1), TrialResources(1.0, 2.0, 1)])
def test_where_no_larger_share_is_to_be_had_it_is_over(share: TrialResources) -> None:
    queue = Recorder(job(1))
    found, _ = attempts(queue, FakeNodes(a=2), share)
    take(found)
    found.ended("job-1", last("job-1", "out_of_memory"))
    assert queue.events[-1] == ("stopped", "job-1", "out_of_memory")


def test_a_share_that_an_earlier_driver_gave_is_kept_and_not_doubled_again() -> None:
    queue = Recorder(job(1, gpu=0.5), job(2, gpu=0.25), job(3, gpu=0.0))
    found, _ = attempts(queue, FakeNodes(a=4), replace(HALF, gpu=0.25))
    assert [found.next().gpu for _ in range(3)] == [0.5, None, None]
    found.started("job-1", "w on a")
    found.ended("job-1", last("job-1", "out_of_memory"))
    assert queue.events[-1] == ("stopped", "job-1", "out_of_memory")


def test_no_more_jobs_are_out_than_fit_at_that_moment() -> None:
    queue, nodes = Recorder(*map(job, range(9))), FakeNodes(a=2)
    found, clock = attempts(queue, nodes)
    first, second = take(found), take(found)
    assert found.next() is None
    assert len(queue.jobs) == 7  # nothing is drawn before there is room for it
    nodes.by_name["late"] = 2
    clock.now += RETRY_TIMINGS.look_s
    assert {take(found), take(found)} == {"job-2", "job-3"}
    assert found.next() is None
    nodes.by_name = {"a": 1}
    clock.now += RETRY_TIMINGS.look_s
    for key in (first, second, "job-2"):
        found.ended(key, last(key, "complete"))
        assert found.next() is None
    found.ended("job-3", last("job-3", "complete"))
    assert take(found) == "job-4"


def test_a_search_without_a_worker_waits_and_says_so_once() -> None:
    queue, nodes = Recorder(job(1)), FakeNodes(a=1)
    found, clock = attempts(queue, nodes)
    key = take(found)
    nodes.by_name.clear()
    found.worker_died(key, "its node has died")
    clock.now += RETRY_TIMINGS.patience_s / 2
    assert found.next() is None
    assert "waiting" not in {word[0] for word in queue.events}
    for _ in range(5):
        clock.now += RETRY_TIMINGS.patience_s / 2
        assert found.next() is None
    assert not found.over
    assert [word for word in queue.events if word[0] == "waiting"] == [("waiting", "no node holds a trial (1 CPU) now")]
    nodes.by_name["late"] = 1
    clock.now += RETRY_TIMINGS.look_s
    assert take(found, "w on late") == key
