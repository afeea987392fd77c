"""The landscape is what it says, virtual time is a fair stand-in, and the report weighs by the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import bench_searcher, searchers
from benchmarks.landscapes.contract import GRAM, LOGIT, RATE, STAGES, TEACHERS
from benchmarks.landscapes.distillation import Distillation
from benchmarks.searchers import Outcome, Sizes
from search.space import SIMPLEXES

LAND = Distillation.drawn(0)


def at(rate: float = 0.0, gram: float = 0.0) -> dict:
    """The optimum of all but the learning rate and gram, which are so many decades off."""
    return {
        TEACHERS: dict(zip(SIMPLEXES[TEACHERS], LAND.teachers, strict=True)),
        STAGES: dict(zip(SIMPLEXES[STAGES], LAND.stages, strict=True)),
        GRAM: 10 ** (LAND.gram + gram),
        LOGIT: 10**LAND.logit,
        RATE: 10 ** (LAND.rate + rate),
    }


def test_the_first_epoch_at_the_optimum_by_hand() -> None:
    # A = 0.85, tau = 4: 0.85 * (1 - exp(-1/4)); no decline before epoch 12
    assert LAND.true_curve(at())[0] == pytest.approx(0.85 * (1 - math.exp(-0.25)))
    # a decade off in gram: A = 0.85 * exp(-0.1)
    assert LAND.true_curve(at(gram=1))[0] == pytest.approx(0.85 * math.exp(-0.1) * (1 - math.exp(-0.25)))


def test_curves_cross_and_high_rates_diverge() -> None:
    fast, slow = LAND.true_curve(at(rate=0.8)), LAND.true_curve(at(rate=-0.3))
    assert fast[1] > slow[1]
    assert max(fast) < max(slow)
    assert math.isnan(LAND.curve(at(rate=1.2))[-1])
    assert len(LAND.curve(at(rate=2.5))) == 1
    assert LAND.worth(at(rate=1.2)) == 0


def test_nothing_is_worth_more_than_the_optimum(rng: np.random.Generator) -> None:
    best = LAND.optimum()
    assert LAND.worth(at()) <= best < 0.85
    for rate, gram in rng.normal(0, 0.5, size=(200, 2)):
        assert LAND.worth(at(rate, gram)) <= best


def test_noise_hangs_on_instance_and_values_alone() -> None:
    assert LAND.curve(at()) == LAND.curve(at())
    assert LAND.curve(at()) != LAND.curve(at(gram=0.001))
    assert LAND.curve(at()) == pytest.approx(LAND.true_curve(at()), abs=0.05)


@pytest.mark.parametrize("name", ["owkd", "OptunaSearch, NaN told as 0", "OptunaSearch, NaN told as it is"])
def test_every_rival_keeps_to_the_budget_and_repeats_itself(name: str) -> None:
    sizes = Sizes(budget=40)
    once, again = (bench_searcher.rivals(tune=False)[name](0, sizes) for _ in range(2))
    assert (once.worth, once.found, once.epochs, once.trials) == (again.worth, again.found, again.epochs, again.trials)
    assert 40 <= once.epochs < 40 + sizes.slots * LAND.epochs
    assert 0 < once.worth <= once.found <= LAND.optimum()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["owkd", "OptunaSearch, NaN told as 0", "OptunaSearch, NaN told as it is"])
def test_ray_tune_with_one_slot_runs_the_trials_of_virtual_time(name: str) -> None:
    from benchmarks import searchers_on_tune

    sizes = Sizes(budget=60, slots=1)
    virtual = bench_searcher.rivals(tune=False)[name](3, sizes)
    with searchers_on_tune.connected(1):
        real = bench_searcher.rivals(tune=True)[name](3, sizes)
    keys = ("worth", "found", "epochs", "trials")
    assert [getattr(virtual, key) for key in keys] == [getattr(real, key) for key in keys]


def test_the_table_weighs_choices_against_the_optimum() -> None:
    found = {
        "ours": [Outcome(0.8, 0.8, 40, 5, 1.0), Outcome(0.6, 0.7, 40, 5, 1.0)],
        "theirs": [Outcome(0.7, 0.8, 40, 5, 1.0), Outcome(0.7, 0.7, 40, 5, 1.0)],
    }
    text = bench_searcher.summary(found, [0.9, 0.9], Sizes(seeds=2))
    assert "| ours | 0.7000 | 0.2000 (0.1500 to 0.2500) | 0.1500 | 5 | 40 |" in text
    assert "ours against theirs: better on 1 of 2 seeds (0 alike), median gain +0.0000; sign test p = 1.000" in text


def test_slots_work_side_by_side() -> None:
    log: list[str] = []

    class Trial:
        def __init__(self, name: str, epochs: int) -> None:
            self.name, self.left = name, epochs

        def epoch(self) -> bool:
            log.append(self.name)
            self.left -= 1
            return self.left > 0

    waiting = [Trial("a", 1), Trial("b", 3), Trial("c", 2)]
    searchers.in_virtual_time(lambda: waiting.pop(0) if waiting else None, slots=2)
    assert log == ["a", "b", "c", "b", "c", "b"]
