"""cluster.yaml as `ray up` will read it: Ray's own schema and defaults, and what we promise on top of them."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = Path(__file__).parents[3] / "cluster.yaml"
TEXT = FILE.read_text(encoding="utf-8")
AUTH = "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$HOME/.ray/auth_token RAY_ENABLE_UV_RUN_RUNTIME_ENV=0"


def prepared(raw: dict[str, Any]) -> dict[str, Any]:
    """What `ray up` does before it speaks to the cloud: fill in Ray's defaults for AWS, then check everything."""
    config: dict[str, Any] = prepare_config(copy.deepcopy(raw))
    validate_config(config)
    return config


@pytest.fixture
def raw() -> dict[str, Any]:
    loaded = yaml.safe_load(TEXT)
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture
def config(raw: dict[str, Any]) -> dict[str, Any]:
    return prepared(raw)


def commands(config: dict[str, Any]) -> list[str]:
    names = [name for name in config if name.endswith("_commands")]
    assert len(names) == 6
    return [command for name in names for command in config[name]]


def test_ray_accepts_it_and_keeps_our_node_types(config: dict[str, Any]) -> None:
    assert config["provider"]["type"] == "aws"
    assert list(config["available_node_types"]) == ["head", "gpu_spot"]  # none of Ray's default types slipped in
    assert config["docker"] == {}


def test_no_trial_lands_on_the_head_and_the_cloud_does_not_take_it_back(config: dict[str, Any]) -> None:
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert head["max_workers"] == 0
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["node_config"]["InstanceType"].startswith(("m", "c", "r", "t"))  # families without a GPU


def test_workers_are_gpu_spot_machines_that_scale_from_zero(config: dict[str, Any]) -> None:
    workers = {name: node for name, node in config["available_node_types"].items() if name != config["head_node_type"]}
    assert workers
    for node in workers.values():
        assert node["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert node["resources"]["GPU"] >= 1
        assert node["min_workers"] == 0
        assert 0 < node["max_workers"] <= config["max_workers"]


@pytest.mark.parametrize("name", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_node_starts_with_token_authentication(config: dict[str, Any], name: str) -> None:
    [start] = [command for command in config[name] if "ray start" in command]
    assert start.index(AUTH) < start.index("ray start")
    assert "dashboard-host=0.0.0.0" not in start


def test_the_token_and_the_wheel_reach_every_node(config: dict[str, Any]) -> None:
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["file_mounts"]["~/owkd/dist"] == "dist"
    assert (FILE.parent / config["file_mounts"]["~/owkd/constraints.txt"]).is_file()
    for role in ("head", "worker"):
        assert any("~/owkd/dist/owkd-*.whl" in command for command in config[f"{role}_setup_commands"])


def test_the_head_starts_workers_by_itself(config: dict[str, Any]) -> None:
    assert any("--autoscaling-config=~/ray_bootstrap_config.yaml" in c for c in config["head_start_ray_commands"])


def test_bash_can_parse_every_command(config: dict[str, Any]) -> None:
    for command in commands(config):
        done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_logging_in_sets_the_same_environment_however_often_the_set_up_ran(raw: dict[str, Any], tmp_path: Path) -> None:
    [profile] = [command for command in raw["setup_commands"] if "env.sh" in command]
    (tmp_path / "owkd").mkdir()
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for _ in range(2):
        subprocess.run(["bash", "-c", profile], env=home, check=True)
    assert (tmp_path / ".bashrc").read_text() == ". ~/owkd/env.sh\n"
    show = "source ~/.bashrc; echo $RAY_AUTH_MODE $RAY_AUTH_TOKEN_PATH $RAY_ENABLE_UV_RUN_RUNTIME_ENV $PATH"
    shown = subprocess.check_output(["bash", "-c", show], env=home, text=True)
    assert shown.startswith(f"token {tmp_path}/.ray/auth_token 0 {tmp_path}/owkd/venv/bin:")


def test_each_line_that_a_user_must_edit_says_so() -> None:
    marks = re.findall(r"^ *(?:- )?(\w+).* # EDIT: \S+ \S+", TEXT, flags=re.MULTILINE)
    assert marks == [
        "region",
        "availability_zone",
        "max_workers",
        "ImageId",
        "max_workers",
        "resources",
        "InstanceType",
        "mountpoint",
    ]
    body = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    personal = [line for line in body if re.search(r"-0{17}|us-west-2", line)]
    assert len(personal) == 4
    assert [line for line in personal if "# EDIT: " not in line] == []


def _unknown_key(raw: dict[str, Any]) -> None:
    raw["worker_nodes_typo"] = {}


def _unknown_node_key(raw: dict[str, Any]) -> None:
    raw["available_node_types"]["gpu_spot"]["spot"] = True


def _half_a_gpu(raw: dict[str, Any]) -> None:
    raw["available_node_types"]["gpu_spot"]["resources"]["GPU"] = 0.5


def _region_not_a_name(raw: dict[str, Any]) -> None:
    raw["provider"]["region"] = 1


def _commands_not_a_list(raw: dict[str, Any]) -> None:
    raw["setup_commands"] = [{"run": "true"}]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_unknown_key, "'worker_nodes_typo' was unexpected"),
        (_unknown_node_key, "'spot' was unexpected"),
        (_half_a_gpu, "0.5 is not of type 'integer'"),
        (_region_not_a_name, "1 is not of type 'string'"),
        (_commands_not_a_list, "is not of type 'string'"),
    ],
)
def test_a_copy_that_breaks_the_schema_is_refused(
    raw: dict[str, Any], damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    damage(raw)
    with pytest.raises(jsonschema.ValidationError, match=re.escape(message)):
        prepared(raw)


def test_a_head_of_an_unknown_type_is_refused(raw: dict[str, Any]) -> None:
    raw["head_node_type"] = "haed"
    with pytest.raises(ValueError, match="must be one of `available_node_types`"):
        prepared(raw)


def test_more_workers_than_allowed_are_refused(raw: dict[str, Any]) -> None:
    raw["available_node_types"]["gpu_spot"]["min_workers"] = raw["max_workers"] + 1
    with pytest.raises(ValueError, match="`max_workers` is smaller"):
        prepared(raw)
