"""What trials that are over count as, and that the Gaussian process is asked about all of them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from owkd.config import SearchConfig, parse_config
from search.samplers.gp import ONE_IN, GaussianProcessSampler
from search.samplers.model import PART_EPOCHS, outcomes
from search.study.journal import open_journal
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


def ends(trials: list[FrozenTrial], **search: Any) -> list[float]:
    """What each trial counts as, at the last step that it told."""
    last = {each.trial: each.values[0] for each in sorted(outcomes(section(**search), trials), key=lambda o: -o.lag)}
    return [last[place] for place in sorted(last)]


def test_a_stopped_trial_ends_as_much_higher_as_complete_ones_did_in_the_median() -> None:
    done = [complete(0.1, 0.2, 0.4), complete(0.2, 0.1, 0.6), complete(0.5, 0.5, 0.5)]  # from step 2: x 2, 3, 1
    stopped = [pruned(0.1, 0.25), pruned(0.3), pruned(0.3, 0.2)]
    # step 1 rises by 4, 3, 1; the best epoch until the stop counts, not the last one
    assert ends([*stopped, *done])[:3] == pytest.approx([0.5, 0.9, 0.6])


def test_the_reduction_says_what_a_curve_has_reached() -> None:
    last = [{"metric": "val/mAP", "reduction": "last"}]
    assert ends([pruned(0.3, 0.2), complete(0.2, 0.1, 0.3, value=0.3)], objectives=last)[0] == pytest.approx(0.6)


def test_without_a_complete_trial_that_came_by_it_is_what_was_reached() -> None:
    assert ends([pruned(0.3, 0.2)]) == [0.3]
    assert ends([pruned(0.3, 0.2), complete(0.4, 0.5)])[0] == 0.3  # as long as that one
    assert ends([pruned(0.3), complete(0.0, 0.5)])[0] == 0.3  # no factor from nothing


def test_a_complete_trial_tells_as_well_where_others_were_stopped() -> None:
    """So the model sees from one and the same training what an early value says of the end."""
    found = outcomes(section(), [complete(0.2, 0.3, 0.6), pruned(0.1), pruned(0.1, 0.2)])
    assert [(each.trial, each.values[0]) for each in found] == [
        (0, 0.6),
        *[(0, pytest.approx(0.6))] * 2,
        (1, pytest.approx(0.3)),
        (2, pytest.approx(0.3)),
        (2, pytest.approx(0.4)),
    ]
    assert found[0].lag == 0 < found[2].lag < found[1].lag < 1
    assert [each.scale for each in found] == pytest.approx([1, 3, 2, 3, 3, 2])


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
    counts = ends([*done, stopped])
    assert counts[-1] == pytest.approx(counts[1], rel=0.02)
    assert counts[1] == pytest.approx(0.5 * (1 + difficulty) / 2)


def test_without_knowing_how_long_parts_are_a_curve_is_one_part() -> None:
    """As in a run of 0.1.0, which did not record it."""
    assert ends([pruned(0.3, 0.2), complete(0.3, 0.2, 0.6)])[0] == pytest.approx(0.6)


def test_a_diverged_trial_is_the_worst_of_all() -> None:
    trials = [complete(0.2, 0.4), pruned(0.1), pruned(0.9, math.nan), trial(TrialState.FAIL, [0.3])]
    assert ends(trials) == [0.4, 0.2, 0.2]
    assert ends([pruned(0.9, math.nan)]) == []


def test_where_the_scheduler_compares_something_else_only_complete_trials_count() -> None:
    other = {"scheduler": {"name": "asha", "metric": "val/rank-1"}}
    assert ends([complete(0.2, 0.3), pruned(0.1)], **other) == [0.3]


def test_of_several_objectives_costs_are_known_early() -> None:
    several = [{"metric": "val/mAP"}, {"metric": "flops"}]
    judged = {"judged": {"values": {"val/mAP": 0.1, "flops": 4.0}}}
    done = complete(0.2, 0.4, values=[0.4, 9.0])
    trials = [done, pruned(0.1, user_attrs=judged), pruned(0.1), pruned(math.nan)]
    found = [(each.trial, each.values) for each in outcomes(section(objectives=several), trials)]
    assert found == [(0, (0.4, 9.0)), (0, (0.4, 9.0)), (1, (0.2, 4.0)), (3, (0.2, 9.0))]


def propose(
    number: int, trials: list[FrozenTrial], startup: int = 3, search: SearchConfig | None = None
) -> dict[str, Any]:
    """What the sampler alone proposes for the trial of that number; empty where it leaves that to chance."""
    sampler = GaussianProcessSampler(search or section(), startup, seed=1)
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
    assert abs(math.log10(propose(9, [*STOPPED, *running])["distill.gram"] / near)) > 0.1


def test_a_trial_that_is_over_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many proposals follow, from a journal on the disk."""
    read: list[int] = []
    module = sys.modules[outcomes.__module__]  # whose name its function hides

    def count(trial: FrozenTrial) -> bool:
        read.append(trial.number)
        return False

    monkeypatch.setattr(module, "has_diverged", count)
    study = optuna.create_study(storage=open_journal(tmp_path / "study.journal"), direction="maximize")
    search = section()
    for number in range(8):
        study.sampler = GaussianProcessSampler(search, 3, seed=number)
        asked = study.ask({"distill.gram": GRAM})
        asked.report(asked.params["distill.gram"], 1)
        study.tell(asked, 0.5)
    assert read == list(range(7))


def test_chance_begins_and_goes_on_now_and_then() -> None:
    assert propose(2, STOPPED[:2]) == {}
    assert propose(2, STOPPED[:2], startup=2) != {}
    assert propose(ONE_IN - 1, STOPPED) == {}


def test_the_luckiest_value_and_the_worst_do_not_move_the_next_proposal_much() -> None:
    """A lucky look at a poor region and a training that failed outright, beside what a dozen others say."""
    curve = [complete(0.5 - 0.1 * p * p, gram=1e-4 * 10**p) for p in (-1.9, -1.2, -0.8, -0.4, 0.0, 0.5, 0.9, 1.3, 1.8)]
    failed = [complete(-50.0, gram=1e-4 * 10**1.9)]
    assert 3e-5 < propose(12, [*curve, *failed])["distill.gram"] < 3e-4


def test_a_constraint_is_learned_from_the_trials_that_know_it() -> None:
    """Quality rises with gram, and so does what it costs; from 1e-4 on it costs too much."""
    rule = "latency_ms <= 5"
    search = section(constraints=[rule])
    decades = (-1.8, -1.4, -0.9, -0.6, -0.2, 0.3, 0.6, 1.0, 1.5, 1.9)
    trials = [complete(0.5 + p / 10, gram=1e-4 * 10**p, constraints={rule: p}) for p in decades]
    assert propose(12, trials, search=search)["distill.gram"] < 2e-4
    assert propose(12, trials)["distill.gram"] > 2e-3
