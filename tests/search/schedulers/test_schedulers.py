"""Schedulers that remember: by job, across retries and across drivers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from owkd.config import parse_config
from search.schedulers import SCHEDULERS, ResumableScheduler, describe_scheduler, make_scheduler
from search.schedulers.hyperband import Brackets
from search.schedulers.median import MedianRule
from search.trials.job import Message


def config_of(**changes):
    return parse_config(
        {
            "data": {"root": "d", "dataset": "s", **changes.pop("data", {})},
            "train": {"epochs": 9, **changes.pop("train", {})},
            "teacher": {"checkpoint": "{fold}"},
            "search": changes,
        }
    )


def asha() -> ASHAScheduler:
    return ASHAScheduler("step", "objective", "max", max_t=9, grace_period=1, reduction_factor=3)


def trial(key: str) -> SimpleNamespace:
    return SimpleNamespace(config={"key": key}, trial_id=f"ray's own id of {key}")


def told(step: int, objective: float, state: str = "running") -> dict:
    """A message as Ray hands it to a scheduler."""
    made = Message("new", state, step, objective, "Fold1", 0, step, (), False, 0.0, "node")  # type: ignore[arg-type]
    return asdict(made)


def play(scheduler, curves: dict[str, list[float]]) -> dict[str, int]:
    """Tells whole curves, job after job -> the step at which each was stopped, 0 for never."""
    ends = {}
    for key, curve in curves.items():
        scheduler.on_trial_add(None, trial(key))
        said = (
            scheduler.on_trial_result(None, trial(key), told(step, value)) for step, value in enumerate(curve, start=1)
        )
        ends[key] = next((step for step, answer in enumerate(said, start=1) if answer == "STOP"), 0)
    return ends


class SchedulerContract:
    """What every scheduler promises. A subclass names its kind, and whether it ever stops a trial."""

    name: str
    rule: type
    stops = True

    def make(self, past: Iterable[tuple[str, dict[int, float]]] = (), **options: Any) -> ResumableScheduler:
        grace = {"grace_epochs": 1} if self.stops else {}
        return make_scheduler(config_of(scheduler={"name": self.name, **grace}), past, **options)

    @pytest.fixture
    def past(self) -> list[tuple[str, dict[int, float]]]:
        """So many good trials of an earlier driver that a poor one falls behind in every bracket."""
        return [(f"old-{i}", dict.fromkeys(range(1, 10), 0.8)) for i in range(20)]

    def test_it_is_the_one_that_the_configuration_names(self) -> None:
        assert type(self.make()._inner) is self.rule

    def test_trials_of_an_earlier_driver_set_the_bar(self, past: list[tuple[str, dict[int, float]]]) -> None:
        assert play(self.make(past), {"poor": [0.1] * 8, "good": [0.9] * 8}) == {"poor": int(self.stops), "good": 0}
        assert play(self.make(), {"poor": [0.1] * 8}) == {"poor": 0}

    def test_fixed_trials_are_never_stopped(self, past: list[tuple[str, dict[int, float]]]) -> None:
        poor = {name: [0.1] * 8 for name in ("trial-00000", "trial-00001", "trial-00002")}
        scheduler = self.make(past, gives_up=lambda message: True)
        assert list(play(scheduler, poor).values()) == [0, 0, 1]
        of_an_older_version = self.make(past, gives_up=lambda message: True, never_stopped={"trial-00000"})
        assert list(play(of_an_older_version, poor).values()) == [0, 1, 1]

    def test_a_job_that_is_spared_goes_on_unless_it_is_given_up(self, past: list[tuple[str, dict[int, float]]]) -> None:
        spared = self.make(past, spares=lambda message: True)
        assert play(spared, {"poor": [0.1] * 8}) == {"poor": 0}
        given_up = self.make(past, spares=lambda message: True, gives_up=lambda message: message.step == 2)
        assert play(given_up, {"poor": [0.1] * 8}) == {"poor": 2}

    def test_a_job_that_ended_by_itself_is_not_stopped_as_well(self, past: list[tuple[str, dict[int, float]]]) -> None:
        scheduler = self.make(past)
        scheduler.on_trial_add(None, trial("new"))
        assert scheduler.on_trial_result(None, trial("new"), told(8, 0.1, "complete")) == "CONTINUE"

    def test_an_epoch_reported_again_changes_nothing(self, past: list[tuple[str, dict[int, float]]]) -> None:
        scheduler = self.make(past)
        assert play(scheduler, {"good": [0.9] * 4}) == {"good": 0}
        assert play(scheduler, {"good": [0.0] * 4}) == {"good": 0}

    def test_it_says_what_it_does(self) -> None:
        scheduler = config_of(scheduler={"name": self.name}).search.scheduler
        assert describe_scheduler(scheduler).startswith(f"{self.name}: ")


class TestAsha(SchedulerContract):
    name, rule = "asha", ASHAScheduler


class TestHyperband(SchedulerContract):
    name, rule = "hyperband", Brackets


class TestMedian(SchedulerContract):
    name, rule = "median", MedianRule


class TestNone(SchedulerContract):
    name, rule, stops = "none", FIFOScheduler, False


def test_every_scheduler_is_held_to_the_contract() -> None:
    assert {contract.name for contract in SchedulerContract.__subclasses__()} == set(SCHEDULERS)


def test_the_published_trial_counts_for_the_others() -> None:
    alone = make_scheduler(config_of(scheduler={"name": "asha", "grace_epochs": 1}), [])
    assert play(alone, {"trial-00000": [0.5] * 8, "poor": [0.1] * 8}) == {"trial-00000": 0, "poor": 1}


def test_trials_of_an_earlier_driver_set_the_bar() -> None:
    past = [(f"old-{i}", {1: 0.8, 2: 0.9}) for i in range(3)]
    informed, fresh = ResumableScheduler(asha(), past), ResumableScheduler(asha())
    for scheduler in (informed, fresh):
        scheduler.on_trial_add(None, trial("new"))
    assert fresh.on_trial_result(None, trial("new"), told(1, 0.1)) == "CONTINUE"
    assert informed.on_trial_result(None, trial("new"), told(1, 0.1)) == "STOP"


def test_an_epoch_told_again_is_judged_once() -> None:
    """Also by another Ray trial: a resumed job repeats its epochs after better trials have raised the bar."""
    scheduler = ResumableScheduler(asha(), [("slow", {1: 0.1, 2: 0.2})])
    for i in range(5):
        scheduler.on_trial_add(None, trial(f"good-{i}"))
        assert scheduler.on_trial_result(None, trial(f"good-{i}"), told(1, 0.9 + 0.01 * i)) == "CONTINUE"
    scheduler.on_trial_add(None, trial("slow"))
    for _ in range(2):
        assert scheduler.on_trial_result(None, trial("slow"), told(1, 0.1)) == "CONTINUE"
        assert scheduler.on_trial_result(None, trial("slow"), told(2, 0.2)) == "CONTINUE"
    assert scheduler.on_trial_result(None, trial("slow"), told(3, 0.2)) == "CONTINUE"  # the first one on this rung
    scheduler.on_trial_add(None, trial("other"))
    assert scheduler.on_trial_result(None, trial("other"), told(1, 0.2)) == "STOP"


@pytest.mark.parametrize("state", ["complete", "diverged", "out_of_memory", "error", "crashed"])
def test_a_job_that_ended_by_itself_is_not_stopped_as_well(state: str) -> None:
    scheduler = ResumableScheduler(asha(), [(f"old-{i}", {1: 0.9, 9: 0.9}) for i in range(3)])
    scheduler.on_trial_add(None, trial("new"))
    assert scheduler.on_trial_result(None, trial("new"), told(9, 0.0, state)) == "CONTINUE"


def test_the_configuration_names_the_scheduler() -> None:
    config = config_of(scheduler={"name": "none"})
    assert type(make_scheduler(config, [])._inner) is FIFOScheduler
    config = config_of(scheduler={"name": "asha", "grace_epochs": 2, "reduction_factor": 4}, data={"folds": ["A", "B"]})
    found = make_scheduler(config, [("old", {1: 0.5, 2: 0.5})])
    assert isinstance(found, ResumableScheduler)
    inner = found._inner
    assert (inner._max_t, inner._reduction_factor, inner._time_attr, inner._metric) == (18, 4, "step", "objective")
    assert [milestone for milestone, _ in inner._brackets[0]._rungs] == [8, 2]
    assert inner._brackets[0]._rungs[-1][1] == {"old": 0.5}


@pytest.mark.parametrize(
    "epochs",
    [
        {"type": "fixed", "value": 12},
        {"type": "categorical", "choices": [3, 12]},
        {"type": "int", "low": 1, "high": 12},
    ],
)
def test_a_trial_may_be_as_long_as_the_space_proposes(epochs: dict) -> None:
    """Ray's rule stops a trial at its maximum, which is that of the longest setting, not the configuration's."""
    config = config_of(train={"epochs": 2}, space={"train.epochs": epochs}, scheduler={"grace_epochs": 3})
    assert play(make_scheduler(config, []), {"longest": [0.5] * 12}) == {"longest": 12}
    assert play(make_scheduler(config, []), {"short": [0.5] * 2}) == {"short": 0}


def test_a_job_is_given_up_where_the_scheduler_would_let_it_go_on() -> None:
    asked = []

    def gives_up(message: Message) -> bool:
        asked.append((message.key, message.step, message.objective))
        return message.step == 2

    scheduler = make_scheduler(config_of(scheduler={"name": "none"}), [], gives_up)
    scheduler.on_trial_add(None, trial("new"))
    said = [scheduler.on_trial_result(None, trial("new"), told(step, 0.5)) for step in (1, 2)]
    assert said == ["CONTINUE", "STOP"]
    assert scheduler.on_trial_result(None, trial("new"), told(2, 0.5, "complete")) == "CONTINUE"
    assert asked == [("new", 1, 0.5), ("new", 2, 0.5)]


def test_median_stops_a_trial_whose_best_is_below_the_median_of_running_means() -> None:
    config = config_of(scheduler={"name": "median", "grace_epochs": 2, "min_trials": 3})
    scheduler = make_scheduler(config, [])
    # running means from epoch 2 on: 0.2, 0.4, 0.6 at every step; their median is 0.4
    ends = play(scheduler, {f"old-{value}": [value] * 6 for value in (0.2, 0.4, 0.6)})
    assert ends == {"old-0.2": 0, "old-0.4": 0, "old-0.6": 0}  # too few to compare with
    assert play(scheduler, {"poor": [0.3] * 6, "fair": [0.1, 0.1, 0.45, 0.1, 0.1, 0.1]}) == {"poor": 2, "fair": 2}
    assert play(scheduler, {"good": [0.1, 0.5, 0.1, 0.1, 0.1, 0.1]}) == {"good": 0}  # its best stays above


def test_median_is_told_of_earlier_trials_without_judging_them() -> None:
    """Judged in the order of their numbers, those that ran beside each other would be cut short after the fact."""
    past = [(f"old-{i}", dict.fromkeys(range(1, 7), value)) for i, value in enumerate((0.9, 0.8, 0.1, 0.1))]
    config = config_of(scheduler={"name": "median", "grace_epochs": 1, "min_trials": 2})
    scheduler = make_scheduler(config, past)
    # the median of 0.9, 0.8, 0.1, 0.1 is 0.45 at step 6 too; of the good two alone it would be 0.85
    assert play(scheduler, {"new": [0.5] * 6}) == {"new": 0}
    assert play(scheduler, {"poor": [0.4] * 6}) == {"poor": 1}


def test_an_epoch_told_again_does_not_move_a_median() -> None:
    config = config_of(scheduler={"name": "median", "grace_epochs": 1, "min_trials": 2})
    past = [("a", {1: 0.8, 2: 0.2}), ("b", {1: 0.4, 2: 0.4}), ("c", {1: 0.4, 2: 0.4})]
    scheduler = make_scheduler(config, past)
    for _ in range(5):
        assert scheduler.on_trial_result(None, trial("a"), told(1, 0.8)) == "CONTINUE"
    # running means at step 2: a 0.5, b and c 0.4; with five more times 0.8, a's would still be above, and b's decide
    assert len(scheduler._inner._results[next(iter(scheduler._inner._results))]) == 2
    assert play(scheduler, {"new": [0.35, 0.45]}) == {"new": 1}


def test_hyperband_has_brackets_whose_first_rungs_are_later_and_later() -> None:
    config = config_of(train={"epochs": 27}, scheduler={"name": "hyperband", "grace_epochs": 1, "reduction_factor": 3})
    found = make_scheduler(config, [])._inner
    assert isinstance(found, Brackets)
    rungs = [sorted(milestone for milestone, _ in bracket._brackets[0]._rungs) for bracket in found.brackets]
    assert rungs == [[1, 3, 9, 27], [3, 9, 27], [9, 27]]
    assert found.shares == pytest.approx([27 / 4, 9 / 3, 3 / 2])
    keys = [f"trial-{i:05d}" for i in range(3000)]
    counts = [sum(found.of(key) is bracket for key in keys) / 3000 for bracket in found.brackets]
    assert counts == pytest.approx([share / sum(found.shares) for share in found.shares], abs=0.03)
    again = make_scheduler(config, [])._inner
    places = [found.brackets.index(found.of(key)) for key in keys]
    assert places == [again.brackets.index(again.of(key)) for key in keys]


def test_hyperband_stops_within_the_bracket_alone() -> None:
    config = config_of(train={"epochs": 9}, scheduler={"name": "hyperband", "grace_epochs": 1, "reduction_factor": 3})
    scheduler = make_scheduler(config, [])
    brackets = scheduler._inner
    early = [f"t{i}" for i in range(60) if brackets.of(f"t{i}") is brackets.brackets[0]][:4]
    late = next(f"t{i}" for i in range(60) if brackets.of(f"t{i}") is brackets.brackets[1])
    curves = {key: [0.9] * 3 for key in early[:3]} | {early[3]: [0.1] * 2, late: [0.1] * 4}
    assert list(play(scheduler, curves).values()) == [0, 0, 0, 1, 0]
