"""The figures of a plan: against Ray's own scheduler, by hand, and against what a training really does."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import ASHAScheduler

from owkd.config import Partial, Reading, SearchConfig, parse_config, with_values
from owkd.errors import ConfigError
from owkd.machine import Machine
from owkd.training.targets import targets_bytes
from owkd.training.timing import EpochTime
from search.planning import costs
from search.planning import plan as planning
from search.planning.mistakes import find_mistakes
from search.planning.plan import make_plan
from search.planning.wording import objectives_in_words, race_in_words
from search.samplers import describe_sampler
from search.schedulers import describe_scheduler
from search.schedulers.asha_savings import expected_steps, halving_steps
from search.space import entries, load_search_config, read_search_config, single
from tests.support.small_training import root, small_config

__all__ = ["root"]

SPACE = {
    "distill.teacher_weights": {"type": "simplex"},
    "distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
}


def plan_config(root: Path, **search):
    section = {"trials": 10, "resources": {"cpu": 1, "gpu": 0}, "scheduler": {"name": "none"}, "space": SPACE, **search}
    return small_config(root, train={"epochs": 9}, search=section, retrain={"top_k": 2, "seeds": 3, "epochs": 4})


@pytest.mark.parametrize(("longest", "grace", "factor"), [(30, 3, 3), (9, 1, 2), (27, 3, 3), (10, 4, 4), (5, 5, 3)])
def test_halving_is_the_rule_of_rays_scheduler(rng: np.random.Generator, longest: int, grace: int, factor: int) -> None:
    for _ in range(5):
        values = rng.permutation(25).tolist()
        scheduler = ASHAScheduler(
            time_attr="step", metric="objective", mode="max", max_t=longest, grace_period=grace, reduction_factor=factor
        )
        controller: Any = None  # the scheduler never asks it
        ran = []
        for number, value in enumerate(values):
            trial: Any = SimpleNamespace(trial_id=str(number))
            scheduler.on_trial_add(controller, trial)
            for step in range(1, longest + 1):
                result = {"step": step, "objective": float(value)}
                if scheduler.on_trial_result(controller, trial, result) == "STOP":
                    break
            ran.append(step)
        assert halving_steps(values, longest=longest, grace=grace, factor=factor) == ran


def test_halving_by_hand() -> None:
    """Rungs 1 and 2 of 4 steps, half goes on: 5 is first; 3 is below 5; 4 is at the median of 3 and 5; 9 beats all."""
    assert halving_steps([5, 3, 4, 9], longest=4, grace=1, factor=2) == [4, 1, 2, 4]
    assert halving_steps([1, 2, 3], longest=4, grace=1, factor=2) == [4, 4, 4]  # each better than all before
    assert halving_steps([], longest=4, grace=1, factor=2) == []
    assert halving_steps([5, 3, 3.5, 9], longest=4, grace=1, factor=2, fixed=2) == [4, 4, 1, 4]


def test_expected_steps_of_two_trials_are_exact_in_the_mean() -> None:
    """The second is worse in half of the orders and then runs 3 of 9 steps: (9 + 9 + 9 + 3) / 2 = 15."""
    assert expected_steps(2, longest=9, grace=3, factor=3, orders=2000) == pytest.approx(15, abs=0.2)
    assert expected_steps(7, longest=9, grace=9, factor=3) == 63


def test_a_plan_counts_what_a_search_will_do(root: Path, tmp_path: Path) -> None:
    plan = make_plan(plan_config(root), tmp_path / "runs", measure=False)
    assert plan.run.path == tmp_path / "runs" / "search"
    assert (plan.costs.epochs.trial, plan.costs.epochs.search, plan.costs.epochs.expected) == (9, 90, 90)
    assert plan.costs.epochs.retrain == (2 * 2 + 3 * 3) * 4
    assert (plan.control.is_on, plan.costs.epochs.control, plan.final_models) == (False, 0, 2 * 2 + 3 * 3)
    (fold,) = plan.folds
    people = len(list((root / "Synthetic_thermal" / "Fold1" / "train" / "allcam").iterdir()))
    assert (fold.people, fold.images, fold.validation_images) == (people, 4 * people, 16)
    assert plan.disk.images == (fold.images + 16) * 3 * 32 * 32
    assert plan.disk.run == plan.disk.checkpoints.total + plan.disk.tables
    assert [line.published for line in plan.space] == ["1.00/1.00/1.00", "0.0001"]
    assert [line.range for line in plan.space] == ["3 weights, sum 3", "1e-06 to 0.01"]
    assert len(plan.draws) == 3
    for values in plan.draws:
        assert sum(values["distill.teacher_weights"].values()) == pytest.approx(3)
        assert single(plan.config, values).distill.gram == values["distill.gram"]
    (note,) = plan.notes
    assert note.startswith("retrain.seeds=3 must be at least 11 to show retrain.smallest_lead=0.02")
    assert plan.costs.hours(100) is None


def test_a_control_counts_in_every_figure(root: Path, tmp_path: Path) -> None:
    without = plan_config(root, trials=5)
    plans = [
        make_plan(with_values(without, {"retrain.control": control}), tmp_path / "runs", measure=False)
        for control in (False, True)
    ]
    off, on = plans
    assert (on.costs.epochs.search, on.costs.epochs.control) == (5 * 9, 3 * 9)  # two are fixed
    of_control = 2 * 2 + 3  # choice among two, and the one that is left
    assert (off.final_models, on.final_models) == (2 * 2 + 3 * 3, 2 * 2 + 3 * 3 + of_control)
    assert on.costs.epochs.retrain == off.costs.epochs.retrain + of_control * 4
    assert on.disk.run > off.disk.run
    numbers = on.to_dict()
    assert (numbers["final_models"], numbers["epochs"]["control"]) == (on.final_models, 27)
    assert (numbers["control"]["is_on"], numbers["control"]["epochs"]) == (True, 27)


def test_parts_and_the_scheduler_count(root: Path, tmp_path: Path) -> None:
    config = plan_config(root, seeds=[0, 1], scheduler={"name": "asha", "grace_epochs": 2})
    plan = make_plan(config, tmp_path, measure=False)
    assert (plan.costs.epochs.trial, plan.costs.epochs.search) == (18, 180)
    assert plan.costs.epochs.expected == expected_steps(10, longest=18, grace=2, factor=3, fixed=2)
    assert plan.costs.epochs.expected < 180
    assert (
        make_plan(plan_config(root, scheduler={"name": "median"}), tmp_path, measure=False).costs.epochs.expected
        is None
    )


@pytest.mark.parametrize("entry", [{"type": "fixed", "value": 20}, {"type": "categorical", "choices": [3, 20]}])
def test_a_plan_counts_the_longest_trials_of_the_space(root: Path, tmp_path: Path, entry: dict) -> None:
    config = plan_config(root, space={**SPACE, "train.epochs": entry}, scheduler={"name": "none"})
    plan = make_plan(config, tmp_path, measure=False)
    assert (plan.costs.epochs.trial, plan.costs.epochs.search, plan.costs.epochs.expected) == (20, 200, 200)


def test_hours_are_epochs_times_seconds_over_slots(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = EpochTime("cpu", 10, 5, step_s=3.0, validation_images=12, image_s=0.5, stored=True, target_image_s=0.25)
    assert timed.seconds == 36.0
    monkeypatch.setattr(costs, "_time_epoch", lambda config: timed)
    machine = Machine(cpus=6, all_cpus=8, affinity=6, quota=None, memory=None, memory_is_limited=False)
    monkeypatch.setattr(costs, "this_machine", lambda: machine)
    plan = make_plan(plan_config(root, resources={"cpu": 1.5, "gpu": 0}), tmp_path)
    assert plan.costs.resources is not None
    assert plan.costs.resources.at_a_time == 4
    assert plan.costs.hours(200) == 0.5
    assert plan.costs.device_hours(200) == (3.0, "CPU-hours")
    assert plan.targets_s == plan.folds[0].images * 0.25
    assert plan.to_dict()["hours"] == {"search": 0.225, "expected": 0.225, "retrain": 0.13, "control": 0.0}
    small = make_plan(plan_config(root, resources={"cpu": 7, "gpu": 0}), tmp_path, measure=False)
    assert small.costs.resources is None
    assert "asks for cpu=7, gpu=0 and this machine has cpu=6, gpu=0" in small.costs.why_no_trial_fits


def test_an_epoch_is_timed_on_real_steps_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    before = {path for path in root.rglob("*") if ".owkd-cache" not in path.parts}
    plan = make_plan(plan_config(root), tmp_path / "runs")
    assert plan.costs.epoch_time is not None
    assert plan.costs.epoch_time.steps == plan.folds[0].images // 8
    assert (plan.costs.epoch_time.device, plan.costs.epoch_time.measured, plan.costs.epoch_time.validation_images) == (
        "cpu",
        5,
        16,
    )
    assert 0 < plan.costs.epoch_time.step_s < 60
    assert plan.costs.hours(100) is not None
    assert plan.costs.epoch_time.stored
    assert plan.targets_s > 0
    assert plan.disk.targets == targets_bytes(plan.config, "Fold1") > 0
    assert {path for path in root.rglob("*") if ".owkd-cache" not in path.parts} == before
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_that_runs_in_every_step_is_timed_with_it(root: Path, tmp_path: Path) -> None:
    config = with_values(plan_config(root), {"teacher.targets.use": "live"})
    plan = make_plan(config, tmp_path)
    assert plan.costs.epoch_time is not None
    assert not plan.costs.epoch_time.stored
    assert (plan.targets_s, plan.disk.targets) == (0, 0)


def test_a_full_disk_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(ConfigError, match=r"--runs must lie where a run has room, but .* has 0\.0 GB free"):
        make_plan(plan_config(root), tmp_path, measure=False)


def reading(config, problems=(), missing=()) -> Reading:
    return Reading("c.yaml", None if problems else config, tuple(problems), Partial(config, tuple(missing)))


def test_what_a_search_stands_on_is_looked_at_beside_the_configuration(root: Path, tmp_path: Path) -> None:
    config = plan_config(root)
    assert find_mistakes(reading(config), tmp_path) == []
    (tmp_path / "search").mkdir()
    assert "must have a name of its own" in find_mistakes(reading(config), tmp_path)[0]
    assert find_mistakes(Reading("c.yaml", None, ("no such file",), None), tmp_path) == ["no such file"]
    nowhere = parse_config({**config.to_dict(), "data": {"root": "nowhere", "dataset": "x"}})
    found = find_mistakes(reading(nowhere), tmp_path / "runs")
    assert len(found) == 1
    assert "data.root must be a folder" in found[0]
    # a section with a mistake of its own is not looked into: what it would name is a default
    assert find_mistakes(reading(nowhere, ["data: wrong"], ["data.folds"]), tmp_path / "runs") == ["data: wrong"]
    lost = parse_config({**config.to_dict(), "teacher": {"checkpoint": "lost.safetensors"}})
    assert len(find_mistakes(reading(lost), tmp_path / "runs")) == 1
    assert find_mistakes(reading(lost, ["teacher: wrong"], ["teacher.checkpoint"]), tmp_path / "runs") == [
        "teacher: wrong"
    ]
    assert len(find_mistakes(reading(lost, ["teacher: wrong"], ["teacher.gce"]), tmp_path / "runs")) == 2
    # which student it must teach is unknown, but whether it is there can be said
    found = find_mistakes(reading(lost, ["student: wrong"], ["student.preset"]), tmp_path / "runs")
    assert [problem.partition(";")[0] for problem in found] == [
        "student: wrong",
        "no such checkpoint: lost.safetensors",
    ]
    empty = parse_config({**config.to_dict(), "search": {}})
    assert find_mistakes(reading(empty), tmp_path / "runs") == [
        "search.space must name at least one field; add one, or train a single student with `owkd distill`"
    ]
    left_out = reading(empty, ["search.space.distill.gram: wrong"], ["search.space.distill.gram"])
    assert find_mistakes(left_out, tmp_path / "runs") == ["search.space.distill.gram: wrong"]


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"distill.nothing": 1}, "must name another entry of the space"),
        ({"train.precision": "fp32"}, "must not lead back to train.precision; break the circle"),
        ({"student.preset": "tiny"}, "must not lead back to train.precision; break the circle"),
    ],
)
def test_a_wrong_condition_is_named_by_a_plan_as_by_a_search(
    root: Path, tmp_path: Path, when: dict[str, Any], words: str
) -> None:
    tree = plan_config(root).to_dict()
    tree["search"]["space"] = {
        "train.precision": {"type": "categorical", "choices": ["fp32", "bf16"], "when": when},
        "student.preset": {"type": "categorical", "choices": ["micro", "tiny"], "when": {"train.precision": "fp32"}},
    }
    file = tmp_path / "search.yaml"
    file.write_text(json.dumps(tree))
    assert any(words in message for message in find_mistakes(read_search_config(file), tmp_path / "runs"))
    with pytest.raises(ConfigError, match=words):
        load_search_config(file)


def test_a_missing_test_split_is_noted(root: Path, tmp_path: Path) -> None:
    config = plan_config(root)
    config = config.model_copy(update={"retrain": config.retrain.model_copy(update={"folds": ("Fold1", "Fold9")})})
    place = root / "Synthetic_thermal" / "Fold9" / "test"
    assert list(planning._notes(config)) == [
        f"There is no {place}: `owkd retrain` will refuse this run until there is."
    ]


def test_a_space_that_is_used_up_before_all_trials_is_noted(root: Path) -> None:
    config = plan_config(
        root, trials=7, space={"train.images_per_identity": {"type": "categorical", "choices": [2, 4]}}
    )
    assert "search.space has 2 points: the search ends when each of them has a trial." in planning._notes(config)
    assert not any("points" in note for note in planning._notes(plan_config(root, trials=7)))


def test_the_race_in_words(root: Path) -> None:
    assert race_in_words(plan_config(root)) == ""
    assert race_in_words(plan_config(root, seeds=[0, 1])).startswith(
        "race: at the end of each fold and seed but the last"
    )
    assert race_in_words(plan_config(root, seeds=[0, 1], race=False)) == ""


def test_the_search_in_words(root: Path) -> None:
    config = plan_config(
        root,
        objectives=[{"metric": "val/mAP", "reduction": "mean of last 3"}, {"metric": "latency_ms"}],
        constraints=["parameters <= 1000000"],
        scheduler={"name": "asha", "grace_epochs": 2, "reduction_factor": 4},
        space={**SPACE, "student.preset": {"type": "categorical", "choices": ["nano", "micro"]}}
        | {"distill.logit": {"type": "float", "low": 0, "high": 1, "when": {"student.preset": "nano"}}},
    )
    assert objectives_in_words(config) == (
        "max val/mAP (mean of the last 3 epochs; the last one's model is kept), min latency_ms, subject to "
        "parameters <= 1000000"
    )
    assert describe_scheduler(config.search.scheduler).startswith("asha: after 2 epochs, and each 4 times as many")
    assert describe_sampler(config.search).endswith("; seed 0")
    for name in ("hyperband", "median", "none"):
        scheduler = SearchConfig.model_validate({"scheduler": {"name": name}}).scheduler
        assert describe_scheduler(scheduler).startswith(f"{name}: ")
    for name in ("gp", "tpe", "cmaes", "nsga2", "random"):
        search = SearchConfig.model_validate({"sampler": {"name": name, "seed": 7}})
        assert describe_sampler(search).startswith(f"{name}: ")
        assert describe_sampler(search).endswith("; seed 7")
    assert describe_sampler(SearchConfig()).startswith("gp: 3 random trials first, ")
    space = entries(config.search.space)
    assert space["distill.logit"].range == "0 to 1, if student.preset is nano"
    assert space["student.preset"].range == "nano | micro"
