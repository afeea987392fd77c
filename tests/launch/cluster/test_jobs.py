"""What a submitted command must be, before anything leaves this machine."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from small_training import small_config

from launch.cli import run_command
from launch.cluster import jobs
from launch.cluster.file import template
from owkd.errors import ConfigError, OwkdError, UserError

Files = tuple[Path, Path]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A cluster and a search; whoever opens a tunnel has passed every check."""
    cluster, config = tmp_path / "cluster.yaml", tmp_path / "search.yaml"
    cluster.write_text(template("local"))
    config.write_text(yaml.safe_dump(small_config(Path("/mnt/data")).to_dict() | {"name": "thermal"}))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setattr(jobs, "tunnel", _opened)
    return cluster, config


class OpenedError(Exception):
    """The checks are over."""


def _opened(path: Path, command: str) -> None:
    raise OpenedError


def submitted(files: Files, *words: str) -> str:
    cluster, config = files
    with pytest.raises((OpenedError, UserError)) as raised:
        jobs.submit(cluster, [word.replace("CONFIG", str(config)) for word in words])
    return "" if raised.type is OpenedError else str(raised.value)


def test_a_search_with_paths_of_the_nodes_is_submitted(files: Files) -> None:
    assert submitted(files, "search", "CONFIG", "--runs", "/mnt/owkd/runs") == ""
    assert submitted(files, "search", "CONFIG", "--runs=s3://bucket/runs") == ""
    assert submitted(files, "resume", "/mnt/owkd/runs/thermal") == ""
    assert submitted(files, "doctor", "--config", "CONFIG", "--runs", "/mnt/owkd/runs") == ""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("train", "CONFIG"), "one of search, resume, retrain, doctor"),
        ((), "but got none"),
        (("search",), "must be given a configuration"),
        (("search", "CONFIG"), "--runs must name"),
        (("search", "CONFIG", "--runs", "runs"), "--runs=runs"),
        (("resume", "runs/thermal"), "RUN=runs/thermal"),
    ],
)
def test_what_means_nothing_on_the_nodes_is_refused(words: tuple[str, ...], named: str, files: Files) -> None:
    assert named in submitted(files, *words)


def test_every_relative_path_of_a_configuration_is_named(files: Files) -> None:
    raw = small_config(Path("data")).to_dict()
    raw["data"]["cache"] = "cache"
    files[1].write_text(yaml.safe_dump(raw))
    refusal = submitted(files, "search", "CONFIG", "--runs", "/mnt/owkd/runs")
    assert "data.root=data, data.cache=cache, teacher.checkpoint=data/teacher-{fold}.safetensors" in refusal


def test_a_mistake_in_the_configuration_is_found_here(files: Files) -> None:
    files[1].write_text("train: {epoch: 3}")
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        jobs.submit(files[0], ["search", str(files[1]), "--runs", "/mnt/owkd/runs"])


def test_a_missing_token_is_named_with_this_machine(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(jobs.socket, "gethostname", lambda: "my-laptop")
    cluster, config = map(str, files)
    assert run_command(["cluster", "submit", cluster, "--", "search", config, "--runs", "/mnt/owkd/runs"]) == 2
    said = capsys.readouterr().err
    assert "this machine (my-laptop) must have the cluster's token" in said
    assert f"{tmp_path}/.ray/auth_token holds none" in said
    assert "copy ~/.ray/auth_token from" in said


def test_the_job_gets_the_configuration_and_the_run_its_name(files: Files, tmp_path: Path) -> None:
    words = ["search", str(files[1]), "--runs", "/mnt/owkd/runs"]
    out = tmp_path / "out"
    out.mkdir()
    assert jobs._carry(words, out) == "thermal"
    assert words[1] == "search.yaml"
    assert (out / "search.yaml").read_bytes() == files[1].read_bytes()
    assert jobs._carry(["search", str(files[1]), "--runs", "/r", "--name", "other"], out) == "other"


@pytest.fixture
def joining(files: Files, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many workers are alive at each look; the last stays. -1: the head does not answer yet."""
    looks: list[int] = []

    def nodes(address: str, token: str) -> list[dict[str, object]]:
        workers = looks.pop(0) if len(looks) > 1 else looks[0]
        if workers < 0:
            raise OwkdError("not yet")
        dead = {"is_head_node": False, "state": "DEAD"}
        return [{"is_head_node": True, "state": "ALIVE"}, dead, *[dead | {"state": "ALIVE"}] * workers]

    monkeypatch.setattr(jobs, "tunnel", lambda path, command: nullcontext("http://127.0.0.1:1"))
    monkeypatch.setattr(jobs, "_nodes", nodes)
    monkeypatch.setattr(jobs, "WORKERS_LOOK_S", 0.0)
    return looks


def test_up_waits_for_a_worker(joining: list[int], files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    joining += [-1, 0, 0, 1, 2]
    jobs.await_workers(files[0])
    assert joining == [2]
    assert "workers that have joined: 1\n" in capsys.readouterr().out


def test_up_waits_for_as_many_as_the_file_says(joining: list[int], files: Files) -> None:
    files[0].write_text("min_workers: 2\n" + files[0].read_text())
    joining += [1, 1, 2, 3]
    jobs.await_workers(files[0])
    assert joining == [3]


def test_up_says_that_no_worker_came(
    joining: list[int], files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    joining.append(0)
    monkeypatch.setattr(jobs, "WORKERS_WAIT_S", 0.05)
    jobs.await_workers(files[0])
    assert "workers that have joined: 0; a search needs one" in capsys.readouterr().out


def test_a_cloud_is_not_waited_for(joining: list[int], files: Files) -> None:
    files[0].write_text(template("aws"))
    joining.append(0)
    jobs.await_workers(files[0])
    assert joining == [0]


def test_what_ray_writes_into_a_log_is_left_out() -> None:
    log = "2026-11-26 09:31:05,450\tINFO job_manager.py:581 -- Runtime env is setting up.\ntrial 1 started\n"
    assert jobs.OF_RAY.sub("", log) == "trial 1 started\n"


def test_a_job_is_named_after_its_run_wherever_that_lies(tmp_path: Path) -> None:
    assert jobs._carry(["resume", "s3://bucket/runs/thermal?scheme=http"], tmp_path) == "thermal"
    assert jobs._carry(["resume", "/mnt/owkd/runs/thermal"], tmp_path) == "thermal"
