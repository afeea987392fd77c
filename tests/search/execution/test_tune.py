"""How a request is fitted into a cluster."""

from __future__ import annotations

import pytest

from owkd.config import parse_config
from owkd.errors import ConfigError
from search.execution import resources as share
from search.execution.resources import TRIAL_MEMORY_BYTES, resources_on_cluster


def config_of(**changes):
    return parse_config(
        {
            "data": {"root": "d", "dataset": "s", **changes.pop("data", {})},
            "train": {"epochs": 9, **changes.pop("train", {})},
            "teacher": {"checkpoint": "{fold}"},
            "search": changes,
        }
    )


def nodes(monkeypatch: pytest.MonkeyPatch, *resources: dict) -> None:
    alive = [{"Alive": True, "Resources": found} for found in resources]
    dead = {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}}
    monkeypatch.setattr("ray.nodes", lambda: [*alive, dead])


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
        ([{"CPU": 8, "memory": 3 * TRIAL_MEMORY_BYTES + 1}], {"cpu": 1}, (1, 0, 3)),
        ([{"CPU": 8, "memory": TRIAL_MEMORY_BYTES / 2}], {"cpu": 1}, (1, 0, 1)),
    ],
)
def test_a_request_is_fitted_into_the_nodes(monkeypatch, machines, resources, expected) -> None:
    nodes(monkeypatch, *machines)
    found = resources_on_cluster(config_of(resources=resources))
    assert (found.cpu, found.gpu, found.at_a_time) == expected


def test_the_configured_limit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes(monkeypatch, {"CPU": 8})
    assert resources_on_cluster(config_of(max_concurrent=3)).at_a_time == 3
    assert resources_on_cluster(config_of(max_concurrent=30)).at_a_time == 8


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
        resources_on_cluster(config_of(**changes))


def test_a_cpu_search_leaves_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes(monkeypatch, {"CPU": 2, "GPU": 1})
    assert resources_on_cluster(config_of(train={"device": "cpu"})).gpu == 0


def test_nodes_that_an_autoscaler_may_start_count(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    nodes(monkeypatch, {"CPU": 0})
    path = tmp_path / "ray_bootstrap_config.yaml"
    monkeypatch.setattr(share, "BOOTSTRAP_CONFIG", path)
    with pytest.raises(ConfigError):
        resources_on_cluster(config_of())
    path.write_text(
        """
        max_workers: 3
        head_node_type: head
        available_node_types:
          head: {resources: {CPU: 0}}
          spot: {resources: {CPU: 8, GPU: 1}, max_workers: 10}
        """
    )
    found = resources_on_cluster(config_of(resources={"gpu": 0.5}))
    assert (found.gpu, found.at_a_time) == (0.5, 6)
