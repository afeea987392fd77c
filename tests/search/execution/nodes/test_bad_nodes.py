"""Whole searches on nodes of which some fail, without Ray: which trials end how, and which nodes are left out.

A worker that fails is free at once for the next job; a good one takes three epochs of `SLOW` ticks. So a bad node gets
most of the jobs, as it does from Ray.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from owkd.errors import OwkdError
from search.execution.nodes import STREAK, Place
from search.execution.resources import TrialResources
from search.execution.retries import RETRY_TIMINGS, RetryPolicy
from search.trials.job import ReportState
from tests.support.retrying import Clock, FakeNodes, Recorder, job, last

JOBS = 20
EPOCHS = 3
SLOW = 4

Fate = Callable[[str, Place, int], str]
"""of a job on a place after so many finished jobs: `fault`, `crash`, or nothing"""


@dataclass
class Machines:
    """Nodes whose workers do what a fate says."""

    fate: Fate
    places: list[Place]
    max_failures: int = 0
    jobs: int = JOBS
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.queue = Recorder(*map(job, range(self.jobs)))
        slots = [place.node for place in self.places]
        self.nodes = FakeNodes(**{node: slots.count(node) for node in slots})
        resources = TrialResources(1.0, float(bool(self.places[0].device)), len(slots))
        self.policy = RetryPolicy(self.queue, resources, self.max_failures, self.nodes, clock=self.clock)
        self.busy: dict[int, tuple[str, int]] = {}
        self.pending: list[str] = []
        self.attempts = 0

    def search(self) -> Machines:
        for _ in range(3000):
            self.hand_out()
            if self.policy.over:
                return self
            for slot in list(self.busy):
                self.tick(slot)
            self.policy.settle()
            self.clock.now += 1
        raise AssertionError("no end")

    def hand_out(self) -> None:
        while (taken := self.policy.next()) is not None:
            self.pending.append(taken.key)
            self.place()
        self.place()

    def place(self) -> None:
        for slot, place in enumerate(self.places):
            if self.pending and slot not in self.busy and place.node not in self.policy.excluded_nodes:
                self.begin(slot, self.pending.pop(0))

    def begin(self, slot: int, key: str) -> None:
        place = self.places[slot]
        self.attempts += 1
        self.policy.started(key, f"worker on {place.node}")
        match self.fate(key, place, len(self.ended("stopped"))):
            case "fault":
                told = replace(last(key, "node_fault"), device=place.device, error_text="OSError: full")
                self.policy.ended(key, told)
            case "crash":
                self.policy.failed(key, "Traceback\nRuntimeError: no")
            case _:
                self.busy[slot] = (key, 0)

    def tick(self, slot: int) -> None:
        key, ticks = self.busy[slot]
        self.busy[slot] = (key, ticks + 1)
        if (ticks + 1) % SLOW:
            return
        epoch = (ticks + 1) // SLOW
        state: ReportState = "complete" if epoch == EPOCHS else "running"
        message = replace(last(key, state), epoch=epoch, device=self.places[slot].device)
        self.policy.epoch_reported(message)
        if epoch == EPOCHS:
            del self.busy[slot]
            self.policy.ended(key, message)

    def ended(self, how: str) -> set[str]:
        return {event[1] for event in self.queue.events if event[0] == how}


A, B = Place("a"), Place("b")
BAD_FROM = 3
"""jobs that are done before a node fails"""


def full_from_the_middle(key: str, place: Place, done: int) -> str:
    return "fault" if place.node == "b" and done >= BAD_FROM else ""


def crashes_fast(key: str, place: Place, done: int) -> str:
    return "crash" if place.node == "b" else ""


EVERY = {f"job-{number}" for number in range(JOBS)}


@pytest.mark.parametrize("fate", [full_from_the_middle, crashes_fast])
@pytest.mark.parametrize("max_failures", [0, 2])
@pytest.mark.parametrize("places", [[A, B], [B, A], [B, B, A], [A, Place("c"), B]])
def test_a_bad_node_costs_no_trial(fate: Fate, max_failures: int, places: list[Place]) -> None:
    machines = Machines(fate, places, max_failures).search()
    assert machines.ended("stopped") == EVERY
    assert machines.ended("failed") == set()
    assert machines.policy.excluded_nodes == {"b"}
    assert machines.attempts <= JOBS + len(places) * STREAK * (max_failures + 1)


def test_where_every_disk_is_full_the_search_ends_with_its_trials_waiting() -> None:
    machines = Machines(lambda key, place, done: "fault" if done >= BAD_FROM else "", [A, B])
    with pytest.raises(
        OwkdError, match=r"(?s)every node.*node [ab]: OSError: full\n.*node [ab]: OSError: full\n.*resume"
    ):
        machines.search()
    assert machines.ended("failed") == set()
    assert len(machines.ended("stopped")) >= BAD_FROM
    assert len(machines.queue.jobs) > 0


def test_a_fault_that_only_one_trial_meets_is_its_own() -> None:
    """As targets of images that are larger than those of other trials."""
    machines = Machines(lambda key, place, done: "fault" if key == "job-5" else "", [A, B], max_failures=1).search()
    assert machines.ended("failed") == {"job-5"}
    assert machines.ended("stopped") == EVERY - {"job-5"}
    assert machines.policy.excluded_nodes == set()


def test_a_trial_that_crashes_everywhere_is_an_error_and_its_nodes_stay() -> None:
    bad = {f"job-{number}" for number in range(2, JOBS, 6)}
    machines = Machines(lambda key, place, done: "crash" if key in bad else "", [A, B], max_failures=1).search()
    assert machines.ended("failed") == bad
    assert machines.ended("stopped") == EVERY - bad
    assert machines.policy.excluded_nodes == set()
    assert machines.attempts == JOBS + len(bad)


def test_where_all_crash_no_node_is_blamed() -> None:
    machines = Machines(lambda key, place, done: "crash", [A, B]).search()
    assert machines.ended("failed") == EVERY
    assert machines.policy.excluded_nodes == set()


def test_one_node_alone_counts_as_before() -> None:
    machines = Machines(lambda key, place, done: "crash" if key == "job-1" else "", [A], max_failures=2).search()
    assert machines.ended("failed") == {"job-1"}
    assert machines.attempts == JOBS + 2


GPUS = [Place("a", str(number)) for number in range(3)]


def test_a_gpu_that_fails_fast_ends_a_search_on_one_node_by_name() -> None:
    machines = Machines(lambda key, place, done: "fault" if place.device == "1" else "", GPUS)
    with pytest.raises(OwkdError, match=r"node a, GPU 1: OSError: full"):
        machines.search()
    assert machines.ended("failed") == set()
    assert machines.ended("stopped")  # what the other GPUs had begun was finished


def test_a_gpu_that_fails_fast_takes_its_node_with_it_where_there_is_another() -> None:
    places = [*GPUS, Place("b", "0")]
    machines = Machines(lambda key, place, done: "fault" if place == GPUS[1] else "", places).search()
    assert machines.ended("stopped") == EVERY
    assert machines.policy.excluded_nodes == {"a"}


def test_a_hiccup_leaves_nobody_out() -> None:
    met: list[str] = []

    def once(key: str, place: Place, done: int) -> str:
        if done == BAD_FROM and not met:
            met.append(key)
            return "fault"
        return ""

    machines = Machines(once, [A]).search()
    assert machines.ended("stopped") == EVERY
    assert machines.ended("interrupted") == set(met)
    assert machines.policy.excluded_nodes == set()


def test_a_node_that_trains_on_is_taken_back() -> None:
    """Two of the three trials that begin together find no room; the other one has enough, and then they have too."""
    met: list[str] = []

    def crowded(key: str, place: Place, done: int) -> str:
        if key in ("job-4", "job-5") and key not in met:
            met.append(key)
            return "fault"
        return ""

    machines = Machines(crowded, [A, A, A]).search()
    assert met == ["job-4", "job-5"]
    assert machines.ended("stopped") == EVERY
    assert machines.attempts == JOBS + 2


def test_a_node_in_doubt_gets_no_more_until_another_has_trained() -> None:
    machines = Machines(crashes_fast, [B, A])
    machines.hand_out()
    assert machines.policy.excluded_nodes == {"b"}
    assert machines.attempts == STREAK + 1
    assert len(machines.queue.jobs) == JOBS - STREAK - 1


def test_what_is_withheld_is_over_when_the_other_node_is_lost() -> None:
    machines = Machines(crashes_fast, [B, A], jobs=STREAK + 1)
    machines.hand_out()
    del machines.nodes.by_name["a"]
    [(key, _)] = machines.busy.values()
    machines.busy.clear()
    machines.policy.worker_died(key, "its node has died")
    machines.clock.now += RETRY_TIMINGS.look_s
    machines.policy.settle()
    assert machines.ended("failed") == {f"job-{number}" for number in range(STREAK)}
    assert machines.policy.excluded_nodes == set()
