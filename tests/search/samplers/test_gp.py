"""What trials that are over count as, and that the Gaussian process is asked about all of them."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from owkd.config import SearchConfig, parse_config
from search.samplers.gp import ONE_IN, PART_EPOCHS, GaussianProcessSampler, expected_ends, expected_outcomes
from search.trials.objective import ObjectiveAccumulator

GRAM = FloatDistribution(1e-6, 1e-2, log=True)


def section(**search: Any) -> SearchConfig:
    space = {"distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}}
    best = [{"reduction": "best"}]
    tree = {"data": {"root": "d", "dataset": "s"}, "search": {"space": space, "objectives": best, **search}}
    return parse_config(tree).search


def trial(state: TrialState, curve: list[float], gram: float = 1e-4, **told: Any) -> FrozenTrial:
    if state == TrialState.COMPLETE and "values" not in told:
        told["value"] = max(curve)
    return create_trial(
        state=state,
        params={"distill.gram": gram},
        distributions={"distill.gram": GRAM},
        intermediate_values=dict(enumerate(curve, start=1)),
        **told,
    )


def complete(*curve: float, **told: Any) -> FrozenTrial:
    return trial(TrialState.COMPLETE, list(curve), **told)


def pruned(*curve: float, **told: Any) -> FrozenTrial:
    return trial(TrialState.PRUNED, list(curve), **told)


def test_a_stopped_trial_ends_as_much_higher_as_complete_ones_did_in_the_median() -> None:
    done = [complete(0.1, 0.2, 0.4), complete(0.2, 0.1, 0.6), complete(0.5, 0.5, 0.5)]  # from step 2: x 2, 3, 1
    stopped = [pruned(0.1, 0.25), pruned(0.3), pruned(0.3, 0.2)]
    # step 1 rises by 4, 3, 1; the best epoch until the stop counts, not the last one
    assert list(expected_ends(section(), stopped, done)) == pytest.approx([0.5, 0.9, 0.6])


def test_the_reduction_says_what_a_curve_has_reached() -> None:
    done = [complete(0.2, 0.1, 0.3)]
    last = section(objectives=[{"metric": "val/mAP", "reduction": "last"}])
    assert list(expected_ends(last, [pruned(0.3, 0.2)], done)) == pytest.approx([0.6])


def test_without_a_complete_trial_that_came_by_it_is_what_was_reached() -> None:
    assert list(expected_ends(section(), [pruned(0.3, 0.2)], [])) == [0.3]
    assert list(expected_ends(section(), [pruned(0.3, 0.2)], [complete(0.4, 0.5)])) == [0.3]  # as long as that one
    assert list(expected_ends(section(), [pruned(0.3)], [complete(0.0, 0.5)])) == [0.3]  # no factor from nothing


SHAPE = (0.4, 0.8, 0.9, 1.0)
"""of every training, as a share of what it comes to"""


def over_two_folds(state: TrialState, quality: float, difficulty: float, steps: int = 8) -> FrozenTrial:
    """A trial of that quality on a fold, then on one of another difficulty, as far as so many steps."""
    search = section()
    judge = ObjectiveAccumulator(search)
    parts = [(fold, quality * worth * share) for fold, worth in enumerate((1.0, difficulty)) for share in SHAPE]
    scores = [judge.add(fold, {"val/mAP": value}) for fold, value in parts[:steps]]
    told: dict[str, Any] = {"values": [scores[-1].values["val/mAP"]]} if state == TrialState.COMPLETE else {}
    curve = [score.scheduler_value for score in scores]
    return trial(state, curve, user_attrs={PART_EPOCHS: 4}, **told)


@pytest.mark.parametrize("difficulty", [0.5, 1.0, 1.4])
@pytest.mark.parametrize("steps", [1, 2, 4, 5, 7])
def test_trials_of_equal_quality_count_alike_whatever_the_parts_are_like(difficulty: float, steps: int) -> None:
    done = [over_two_folds(TrialState.COMPLETE, quality, difficulty) for quality in (0.3, 0.5, 0.42)]
    stopped = over_two_folds(TrialState.PRUNED, 0.5, difficulty, steps)
    counts = [each.values[0] for each in expected_outcomes(section(), [*done, stopped])]
    assert counts[-1] == pytest.approx(counts[1], rel=0.02)
    assert counts[1] == pytest.approx(0.5 * (1 + difficulty) / 2)


def test_without_knowing_how_long_parts_are_a_curve_is_one_part() -> None:
    """As in a run of 0.1.0, which did not record it."""
    assert list(expected_ends(section(), [pruned(0.3, 0.2)], [complete(0.3, 0.2, 0.6)])) == pytest.approx([0.6])


def test_a_diverged_trial_is_the_worst_of_all() -> None:
    trials = [complete(0.2, 0.4), pruned(0.1), pruned(0.9, math.nan), trial(TrialState.FAIL, [0.3])]
    assert [each.values for each in expected_outcomes(section(), trials)] == [(0.4,), (0.2,), (0.2,)]
    assert expected_outcomes(section(), [pruned(0.9, math.nan)]) == []


def test_a_constraint_that_a_stopped_trial_could_not_tell_leaves_it_out() -> None:
    search = section(constraints=["latency_ms <= 5", "val/rank-1 >= 0.5"])
    cost, quality = "latency_ms <= 5", "val/rank-1 >= 0.5"
    trials = [
        complete(0.2, 0.4, constraints={cost: -1.0, quality: 0.1}),
        pruned(0.1, constraints={cost: 2.0}),
        pruned(0.1, constraints={cost: 2.0, quality: -0.2}),
        pruned(math.nan, constraints={"finite": 1.0}),
    ]
    found = expected_outcomes(search, trials)
    assert [each.values for each in found] == [(0.4,), (0.2,), (0.2,)]
    assert found[-1].constraints == {cost: 2.0, quality: 0.1}


def test_where_the_scheduler_or_the_objectives_differ_only_complete_trials_count() -> None:
    other = section(scheduler={"name": "asha", "metric": "val/rank-1"})
    several = section(objectives=[{"metric": "val/mAP"}, {"metric": "flops"}])
    assert len(expected_outcomes(other, [complete(0.2), pruned(0.1)])) == 1
    trials = [complete(0.2, values=[0.2, 9.0]), complete(0.3, values=[0.3, 4.0]), pruned(0.1), pruned(math.nan)]
    assert [each.values for each in expected_outcomes(several, trials)] == [(0.2, 9.0), (0.3, 4.0), (0.2, 9.0)]


def propose(number: int, trials: list[FrozenTrial], startup: int = 3) -> dict[str, Any]:
    """What the sampler alone proposes for the trial of that number; empty where it leaves that to chance."""
    sampler = GaussianProcessSampler(section(), startup, seed=1)
    study = optuna.create_study(direction="maximize")
    for each in trials:
        study.add_trial(each)
    asked = trial(TrialState.RUNNING, [])
    asked.number = number
    return sampler.sample_relative(study, asked, sampler.infer_relative_search_space(study, asked))


STOPPED = [complete(0.3, 0.6, gram=1e-4), *(pruned(0.3 - abs(p) / 10, gram=1e-4 * 10**p) for p in (-1.5, 0.9, 1.8))]


def test_it_learns_from_stopped_trials_and_keeps_away_from_running_ones() -> None:
    near = propose(4, STOPPED)["distill.gram"]
    assert 1e-5 < near < 1e-3  # between the stopped ones, around the complete one
    running = [trial(TrialState.RUNNING, [], gram=near)]
    assert abs(math.log10(propose(4, [*STOPPED, *running])["distill.gram"] / near)) > 0.1


def test_chance_begins_and_goes_on_now_and_then() -> None:
    assert propose(2, STOPPED[:2]) == {}
    assert propose(2, STOPPED[:2], startup=2) != {}
    assert propose(ONE_IN - 1, STOPPED) == {}


def test_threads_are_given_back() -> None:
    import torch

    before = torch.get_num_threads()
    propose(4, STOPPED)
    assert torch.get_num_threads() == before
