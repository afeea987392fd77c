"""Every rival has the same first trial, budget and numbers; what is handed on goes by one rule."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.landscapes import LANDSCAPES
from benchmarks.rivals import OUTSIDE, RIVALS, can_search, rival
from benchmarks.rivals.flat import FlatSpace
from benchmarks.rivals.ledger import Ledger, Outcome, as_json, from_json
from benchmarks.rivals.virtual_time import Ask, Ended, in_slots, search
from search.space import published_point

VALLEY = LANDSCAPES["valley"]


def everybody() -> list[Any]:
    """Rivals from outside are skipped where the extra `bench` is not installed; one that is dear is slow."""
    params = []
    for name in RIVALS:
        outside = OUTSIDE.get(name)
        marks = [pytest.mark.skipif(outside is not None and not outside.is_installed, reason="needs the extra `bench`")]
        if outside is not None and not outside.by_default:
            marks.append(pytest.mark.slow)
        params.append(pytest.param(name, marks=marks))
    return params


def setting(**changes: float) -> dict[str, float]:
    values = dict(published_point(VALLEY.configuration(0)).values)
    return {**values, **{f"distill.{name}": value for name, value in changes.items()}}


def test_handed_on_is_the_best_point_by_the_mean_of_its_looks() -> None:
    land = VALLEY.drawn(0)
    ledger = Ledger(land, VALLEY.configuration(0).search)
    good, lucky = setting(gram=1e-5), setting(gram=1e-3)
    for used, values, told in ((18, lucky, 0.9), (36, good, 0.7), (54, lucky, 0.4)):
        ledger.used = used
        ledger.completed(values, {"val/mAP": told})
    # the second look takes the lucky one's mean to 0.65
    assert ledger.outcome().trace == ((0, 0.0), (18, land.worth(lucky)), (54, land.worth(good)))


def test_what_told_that_it_breaks_a_constraint_is_not_handed_on() -> None:
    land = LANDSCAPES["costs"].drawn(0)
    config = LANDSCAPES["costs"].configuration(0)
    values = dict(published_point(config).values)
    ledger = Ledger(land, config.search)
    ledger.completed(values, {"val/mAP": 0.9, "flops": 1e9, "latency_ms": 7.0})
    assert ledger.outcome().worth == 0
    ledger.completed(values, {"val/mAP": 0.1, "flops": 1e9, "latency_ms": 5.0})
    assert ledger.outcome().worth == land.set_worth([values]) > 0


def test_the_budget_to_a_worth_is_that_from_which_on_nothing_worse_is_handed_on() -> None:
    outcome = Outcome(((0, 0.0), (18, 0.6), (40, 0.5), (60, 0.6)), 5, 5, 0.1)
    assert outcome.epochs_to(0.6) == 60
    assert outcome.epochs_to(0.5) == 18
    assert outcome.epochs_to(0.0) == 0
    assert outcome.epochs_to(0.7) is None
    assert from_json(as_json(outcome)) == outcome


@pytest.mark.parametrize("name", everybody())
def test_every_rival_keeps_to_the_budget_and_repeats_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.landscapes.contract.FULL_TRAININGS", 4)
    for landscape in ("conditional", "costs"):
        if can_search(name, LANDSCAPES[landscape]):
            land = LANDSCAPES[landscape].drawn(0)
            once, again = (rival(name)(land) for _ in range(2))
            assert (once.trace, once.trials) == (again.trace, again.trials)
            assert all(0 <= used <= land.budget for used, _ in once.trace)
            assert once.complete > 0
            assert 0 < once.worth <= land.optimum()


@pytest.mark.parametrize("name", everybody())
def test_all_begin_with_the_published_point(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.landscapes.contract.FULL_TRAININGS", 0.2)
    land, trained, told = VALLEY.drawn(0), [], VALLEY.told

    def noted(self, values, fold, seed):
        trained.append(values)
        return told(self, values, fold, seed)

    monkeypatch.setattr(VALLEY, "told", noted)
    rival(name)(land)
    assert len(trained) > 1
    assert trained[0] == pytest.approx(setting(), rel=1e-3)


def test_slots_work_side_by_side_and_a_paused_trial_goes_on() -> None:
    asked: list[int] = []
    heard: list[tuple[object, ...]] = []

    class Scripted:
        def __init__(self, land, config) -> None:
            self.asks = [
                Ask(setting(gram=1e-5), until=2),
                Ask(setting(gram=1e-4)),
                Ask(setting(gram=1e-5), 5, resumes=0),
            ]

        def ask(self, number: int) -> Ask | None:
            asked.append(number)
            return self.asks.pop(0) if self.asks else None

        def report(self, number: int, step: int, objective: float) -> bool:
            heard.append((number, step))
            return not (number == 1 and step == 4)

        def tell(self, number: int, ended: Ended) -> None:
            heard.append((number, ended.state, ended.step))

    outcome = search(VALLEY.drawn(0), Scripted, asha=False)
    assert heard == [
        (0, 1),
        (1, 1),
        (0, 2),
        (0, "paused", 2),
        (1, 2),
        (0, 3),
        (1, 3),
        (0, 4),
        (1, 4),
        (1, "stopped", 4),
        (0, 5),
        (0, "paused", 5),
    ]
    assert outcome.trials == 2
    assert outcome.complete == 0


def test_a_search_ends_with_its_budget() -> None:
    used = []

    class Trial:
        def epoch(self) -> bool:
            used.append(1)
            return True

    in_slots(Trial, lambda: len(used) >= 7)
    assert len(used) == 7


def test_a_name_that_nobody_has_is_refused() -> None:
    with pytest.raises(KeyError, match="Optuna TPE, ASHA"):
        rival("nobody")


def test_a_flat_space_has_every_coordinate_and_trains_only_with_what_holds() -> None:
    config = LANDSCAPES["conditional"].configuration(0)
    space = FlatSpace(config)
    assert len(space.distributions) == 12
    assert space.published.keys() == space.distributions.keys()
    published = space.values(space.published)
    assert published == pytest.approx(published_point(config).values)
    other = space.values({"train.learning_rate_decay": "cosine", "distill.temperature": 3.0})
    assert "distill.temperature" not in other
    assert "train.gce_weight_decay" in other


def test_a_flat_space_breaks_a_stick_for_a_simplex() -> None:
    space = FlatSpace(LANDSCAPES["conflict"].configuration(0))
    assert len(space.distributions) == 2 + 3 + 1
    weights = space.values({"distill.teacher_weights.original": 0.0})["distill.teacher_weights"]
    assert weights["original"] == pytest.approx(0, abs=1e-6)
    assert sum(weights.values()) == pytest.approx(3)
