"""The scheduler that remembers, and how a request is fitted into a cluster."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from owkd.config import parse_config
from owkd.errors import ConfigError
from search import share
from search.engine import Informed, scheduler_for
from search.share import share_of_cluster


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
    return {"step": step, "objective": objective, "state": state}


def test_trials_of_an_earlier_driver_set_the_bar() -> None:
    past = [(f"old-{i}", {1: 0.8, 2: 0.9}) for i in range(3)]
    informed, fresh = Informed(asha(), past), Informed(asha())
    for scheduler in (informed, fresh):
        scheduler.on_trial_add(None, trial("new"))
    assert fresh.on_trial_result(None, trial("new"), told(1, 0.1)) == "CONTINUE"
    assert informed.on_trial_result(None, trial("new"), told(1, 0.1)) == "STOP"


def test_an_epoch_told_again_is_judged_once() -> None:
    """Also by another Ray trial: a resumed job repeats its epochs after better trials have raised the bar."""
    scheduler = Informed(asha(), [("slow", {1: 0.1, 2: 0.2})])
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
    scheduler = Informed(asha(), [(f"old-{i}", {1: 0.9, 9: 0.9}) for i in range(3)])
    scheduler.on_trial_add(None, trial("new"))
    assert scheduler.on_trial_result(None, trial("new"), told(9, 0.0, state)) == "CONTINUE"


def test_the_configuration_names_the_scheduler() -> None:
    config = config_of(scheduler={"name": "none"})
    assert type(scheduler_for(config, 9, [])._inner) is FIFOScheduler
    config = config_of(scheduler={"name": "asha", "grace_epochs": 2, "reduction_factor": 4}, data={"folds": ["A", "B"]})
    found = scheduler_for(config, 9, [("old", {1: 0.5, 2: 0.5})])
    assert isinstance(found, Informed)
    inner = found._inner
    assert (inner._max_t, inner._reduction_factor, inner._time_attr, inner._metric) == (18, 4, "step", "objective")
    assert [milestone for milestone, _ in inner._brackets[0]._rungs] == [8, 2]
    assert inner._brackets[0]._rungs[-1][1] == {"old": 0.5}


def test_a_job_is_given_up_where_the_scheduler_would_let_it_go_on() -> None:
    asked = []

    def gives_up(key: str, step: int, objective: float) -> bool:
        asked.append((key, step, objective))
        return step == 2

    scheduler = scheduler_for(config_of(scheduler={"name": "none"}), 9, [], gives_up)
    scheduler.on_trial_add(None, trial("new"))
    said = [scheduler.on_trial_result(None, trial("new"), told(step, 0.5)) for step in (1, 2)]
    assert said == ["CONTINUE", "STOP"]
    assert scheduler.on_trial_result(None, trial("new"), told(2, 0.5, "complete")) == "CONTINUE"
    assert asked == [("new", 1, 0.5), ("new", 2, 0.5)]


def nodes(monkeypatch: pytest.MonkeyPatch, *resources: dict) -> None:
    alive = [{"Alive": True, "Resources": found} for found in resources]
    dead = {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}}
    monkeypatch.setattr(share.ray, "nodes", lambda: [*alive, dead])


@pytest.mark.parametrize(
    ("machines", "resources", "expected"),
    [
        ([{"CPU": 2}], {"cpu": 1}, (1, 0, 2)),
        ([{"CPU": 2}], {"cpu": 2}, (2, 0, 1)),
        ([{"CPU": 4}, {"CPU": 3}], {"cpu": 2}, (2, 0, 3)),
        ([{"CPU": 8, "GPU": 2}], {"cpu": 1}, (1, 1, 2)),
        ([{"CPU": 8, "GPU": 2}], {"cpu": 1, "gpu": 0.25}, (1, 0.25, 8)),
        ([{"CPU": 3, "GPU": 2}], {"cpu": 1, "gpu": 0.25}, (1, 0.25, 3)),
        ([{"CPU": 8, "GPU": 2}], {"cpu": 1, "gpu": 0.4}, (1, 0.4, 4)),  # two on each GPU, 0.2 of each stays free
        ([{"CPU": 8, "GPU": 4}], {"cpu": 1, "gpu": 2}, (1, 2, 2)),
        ([{"CPU": 8, "GPU": 2}], {"cpu": 1, "gpu": 0}, (1, 0, 8)),
        ([{"CPU": 8}, {"CPU": 2, "GPU": 1}], {"cpu": 1}, (1, 1, 1)),
    ],
)
def test_a_request_is_fitted_into_the_nodes(monkeypatch, machines, resources, expected) -> None:
    nodes(monkeypatch, *machines)
    found = share_of_cluster(config_of(resources=resources))
    assert (found.cpu, found.gpu, found.at_a_time) == expected


def test_the_configured_limit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes(monkeypatch, {"CPU": 8})
    assert share_of_cluster(config_of(max_concurrent=3)).at_a_time == 3
    assert share_of_cluster(config_of(max_concurrent=30)).at_a_time == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resources": {"cpu": 4}}, r"cpu=4, gpu=0 and the cluster has 2 nodes, the largest with cpu=2, gpu=0"),
        ({"resources": {"gpu": 1}}, r"gpu=1 and the cluster has 2 nodes"),
        ({"resources": {"gpu": 1.5}}, r"whole above 1, but got 1.5"),
        ({"train": {"device": "cuda"}}, r"train.device must be auto or cpu"),
        ({"train": {"device": "cuda"}, "resources": {"gpu": 0}}, r"search.resources.gpu must be above 0"),
    ],
)
def test_a_request_that_can_never_be_met_is_refused(monkeypatch, changes, message) -> None:
    nodes(monkeypatch, {"CPU": 2}, {"CPU": 2})
    with pytest.raises(ConfigError, match=message):
        share_of_cluster(config_of(**changes))


def test_a_cpu_search_leaves_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes(monkeypatch, {"CPU": 2, "GPU": 1})
    assert share_of_cluster(config_of(train={"device": "cpu"})).gpu == 0


def test_nodes_that_an_autoscaler_may_start_count(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    nodes(monkeypatch, {"CPU": 0})
    path = tmp_path / "ray_bootstrap_config.yaml"
    monkeypatch.setattr(share, "BOOTSTRAP_CONFIG", path)
    with pytest.raises(ConfigError):
        share_of_cluster(config_of())
    path.write_text(
        """
        max_workers: 3
        head_node_type: head
        available_node_types:
          head: {resources: {CPU: 0}}
          spot: {resources: {CPU: 8, GPU: 1}, max_workers: 10}
        """
    )
    found = share_of_cluster(config_of(resources={"gpu": 0.5}))
    assert (found.gpu, found.at_a_time) == (0.5, 6)
