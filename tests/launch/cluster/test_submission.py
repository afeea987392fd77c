"""What a submitted command must be, before anything leaves this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from launch.cli import run_command
from launch.cluster import head, submit_job
from launch.cluster.file import template
from launch.cluster.submission import make_submission
from owkd.errors import ConfigError, UserError
from tests.support.small_training import small_config

Files = tuple[Path, Path]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A cluster and a search; whoever opens a tunnel has passed every check."""
    cluster, config = tmp_path / "cluster.yaml", tmp_path / "search.yaml"
    cluster.write_text(template("local"))
    config.write_text(yaml.safe_dump(small_config(Path("/mnt/data")).to_dict() | {"name": "thermal"}))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setattr(head, "_tunnel", _opened)
    return cluster, config


class OpenedError(Exception):
    """The checks are over."""


def _opened(path: Path, wait_s: float) -> None:
    raise OpenedError


def submitted(files: Files, *words: str) -> str:
    cluster, config = files
    with pytest.raises((OpenedError, UserError)) as raised:
        submit_job(cluster, [word.replace("CONFIG", str(config)) for word in words])
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
        (("search", "--runs", "/mnt/owkd/runs"), "must be given a configuration"),
        (("retrain",), "must be given a run"),
        (("search", "CONFIG"), "--runs must name"),
        (("search", "CONFIG", "--runs", "runs"), "--runs=runs"),
        (("search", "CONFIG", "--runs=/mnt/owkd/runs", "--set", "data.cache=cache"), "data.cache=cache"),
        (("resume", "runs/thermal"), "RUN=runs/thermal"),
        (("resume", "--force", "runs/thermal"), "RUN=runs/thermal"),
        (("doctor", "--config=CONFIG", "--runs=runs"), "--runs=runs"),
        (("doctor", "--runs", "runs"), "--runs=runs"),
    ],
)
def test_what_means_nothing_on_the_nodes_is_refused(words: tuple[str, ...], named: str, files: Files) -> None:
    assert named in submitted(files, *words)


def test_every_relative_path_of_a_configuration_is_named(files: Files) -> None:
    raw = small_config(Path("data")).to_dict()
    raw["data"]["cache"] = "cache"
    for model in ("teacher", "student"):
        raw[model] |= {"preset": "small", "init": "imagenet", "init_file": f"{model}.pth"}
    raw["teacher"]["targets"]["folder"] = "targets"
    raw["search"]["warm_start"] = "runs/before"
    files[1].write_text(yaml.safe_dump(raw))
    refusal = submitted(files, "search", "CONFIG", "--runs", "/mnt/owkd/runs")
    relative = {
        "data.root=data",
        "data.cache=cache",
        "teacher.init_file=teacher.pth",
        "teacher.checkpoint=data/teacher-{fold}.safetensors",
        "teacher.targets.folder=targets",
        "student.init_file=student.pth",
        "search.warm_start=runs/before",
    }
    assert set(refusal.partition("but got ")[2].partition(";")[0].split(", ")) == relative


def test_a_mistake_in_the_configuration_is_found_here(files: Files) -> None:
    files[1].write_text("train: {epoch: 3}")
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        submit_job(files[0], ["search", str(files[1]), "--runs", "/mnt/owkd/runs"])


def test_a_missing_token_is_named_with_this_machine(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("socket.gethostname", lambda: "my-laptop")
    cluster, config = map(str, files)
    assert run_command(["cluster", "submit", cluster, "--", "search", config, "--runs", "/mnt/owkd/runs"]) == 2
    printed = capsys.readouterr().err
    assert "this machine (my-laptop) must have the cluster's token" in printed
    assert f"{tmp_path}/.ray/auth_token holds none" in printed
    assert "copy ~/.ray/auth_token from" in printed


def test_the_job_gets_the_configuration_and_the_run_its_name(files: Files, tmp_path: Path) -> None:
    config = str(files[1])
    submission = make_submission(["search", config, "--runs", "/mnt/owkd/runs"])
    assert submission.words == ("search", "search.yaml", "--runs", "/mnt/owkd/runs")
    assert submission.run_name == "thermal"
    out = tmp_path / "out"
    out.mkdir()
    submission.copy_files(out)
    assert (out / "search.yaml").read_bytes() == files[1].read_bytes()
    assert make_submission(["search", config, "--runs", "/r", "--name", "other"]).run_name == "other"
    assert make_submission(["search", "--runs=/r", "--name=other", config]).words[-1] == "search.yaml"
    assert make_submission(["doctor", f"--config={config}", "--runs=/r"]).words[2] == "search.yaml"


@pytest.mark.parametrize("run", ["s3://bucket/runs/thermal?scheme=http", "/mnt/owkd/runs/thermal"])
def test_a_job_is_named_after_its_run_wherever_it_is_stored(run: str) -> None:
    assert make_submission(["resume", run]).run_name == "thermal"
    assert make_submission(["resume", "--trials", "8", "--force", run]).run_name == "thermal"
    assert make_submission(["doctor", "--runs", "/mnt/owkd/runs"]).run_name == "cluster"
