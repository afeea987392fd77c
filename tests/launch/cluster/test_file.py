"""`owkd cluster init` and `check`: what waits for an edit is named, and what Ray would refuse."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from launch.cli import run_command
from launch.cluster.file import EDIT, Kind, check_cluster_file, read_cluster_file, template, unedited
from owkd.errors import ConfigError, UserError

KINDS: list[Kind] = ["aws", "local", "kuberay"]
YOURS = {"0" * 17: "0a1b2c3d4e5f60718", "192.0.2.": "10.1.1.", "example.com": "registry.of-ours.net"}
AUTH = "RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$HOME/.ray/auth_token RAY_ENABLE_UV_RUN_RUNTIME_ENV=0"


def edited(kind: Kind) -> str:
    """The template as a user leaves it: values of their own, marks deleted."""
    text = template(kind)
    for theirs, ours in YOURS.items():
        text = text.replace(theirs, ours)
    return re.sub(r" # EDIT.*", "", text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a cluster is started from: token, wheel and constraints are there."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "owkd-0.1.0-py3-none-any.whl").touch()
    (tmp_path / "constraints.txt").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(text)
    return path


def line_number(text: str) -> int:
    named = re.match(r"line (\d+) ", text)
    assert named is not None, text
    return int(named[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_marked_line_of_a_fresh_template_is_named(kind: Kind, folder: Path) -> None:
    path = folder / "cluster.yaml"
    assert run_command(["cluster", "init", kind, str(path)]) == 0
    assert path.read_text() == template(kind)
    marked = [n for n, line in enumerate(template(kind).splitlines(), 1) if EDIT in line]
    assert len(marked) >= 5
    assert [line_number(text) for text in unedited(read_cluster_file(path))] == marked
    assert run_command(["cluster", "check", str(path)]) == 2
    assert run_command(["cluster", "init", kind, str(path)]) == 2  # never over a file


@pytest.mark.parametrize("kind", KINDS)
def test_an_edited_file_is_ready(kind: Kind, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(folder, edited(kind))
    assert run_command(["cluster", "check", str(path)]) == 0
    following = "kubectl apply" if kind == "kuberay" else "owkd cluster up"
    assert following in capsys.readouterr().out


def test_a_changed_value_counts_whether_or_not_its_mark_is_left(folder: Path) -> None:
    text = template("local")
    before = list(unedited(read_cluster_file(written(folder, text))))
    after = list(unedited(read_cluster_file(written(folder, text.replace("ubuntu # EDIT", "root # EDIT")))))
    assert len(after) == len(before) - 1
    unmarked = text.replace(" # EDIT: the machine that drives; no trial is placed on it", "")
    assert len(list(unedited(read_cluster_file(written(folder, unmarked))))) == len(before)  # 192.0.2.10 is nobody's


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ("cluster_name: owkd", "clustre_name: owkd", "'clustre_name' was unexpected"),
        ("  ssh_user:", "  ssh_usr:", "'ssh_usr' was unexpected"),
        ("idle_timeout_minutes: 10", "idle_timeout_minutes: ten", "idle_timeout_minutes must follow Ray's schema"),
        ("  head_ip:", "  first_ip:", "head_ip"),
        ("dist\n", "wheels\n", "wheels is missing"),
    ],
)
def test_what_ray_would_refuse_is_named(was: str, becomes: str, named: str, folder: Path) -> None:
    assert was in edited("local")
    file = read_cluster_file(written(folder, edited("local").replace(was, becomes)))
    with pytest.raises(ConfigError, match=re.escape(named)):
        check_cluster_file(file)


def test_a_missing_token_and_a_missing_wheel_come_with_the_command_that_makes_them(folder: Path) -> None:
    (folder / ".ray" / "auth_token").unlink()
    (folder / "dist" / "owkd-0.1.0-py3-none-any.whl").unlink()
    with pytest.raises(ConfigError) as refused:
        check_cluster_file(read_cluster_file(written(folder, edited("local"))))
    assert "ray get-auth-token --generate" in str(refused.value)
    assert "pip wheel" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "provider: {type: gcp}", "provider: aws", "a: [", "kind: Pod", "a: 2024-13-45", "[" * 5000],
    ids=range(8),
)
def test_a_file_of_no_known_kind_is_refused(text: str, folder: Path) -> None:
    with pytest.raises(UserError, match="cluster init"):
        read_cluster_file(written(folder, text))
    assert run_command(["cluster", "up", str(folder / "none.yaml")]) == 2


@pytest.mark.parametrize("command", ["up", "down --yes", "status", "submit"])
def test_a_file_for_kubernetes_is_handed_to_kubectl(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(folder, edited("kuberay"))
    rest = ["resume", "/mnt/owkd/runs/a"] if command == "submit" else []
    assert run_command(["cluster", *command.split(), str(path), *rest]) == 2
    assert "kubectl" in capsys.readouterr().err


def test_ray_accepts_the_on_premises_file() -> None:
    config = prepare_config(yaml.safe_load(template("local")))
    validate_config(config)
    node = config["available_node_types"][config["head_node_type"]]
    assert (node["min_workers"], node["max_workers"]) == (2, 2)  # every machine that is named
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        [start] = [command for command in config[name] if "ray start" in command]
        assert start.index(AUTH) < start.index("ray start")
        assert "dashboard-host=0.0.0.0" not in start
    [head] = [command for command in config["head_start_ray_commands"] if "ray start" in command]
    assert "--num-cpus=0 --num-gpus=0" in head  # no trial lands there
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_bash_can_parse_every_command_of_the_on_premises_file() -> None:
    config = yaml.safe_load(template("local"))
    commands = [command for name in config if name.endswith("_commands") for command in config[name]]
    assert len(commands) >= 8
    for command in commands:
        done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_templates_are_in_the_package(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    declared = (root / "pyproject.toml").read_text()
    assert '"templates/*"' in declared
    assert template("aws") == (root / "cluster.yaml").read_text()


def test_a_batch_script_is_checked_for_lines_of_the_template(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "slurm.sh"
    assert run_command(["cluster", "init", "slurm", str(script)]) == 0
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert run_command(["cluster", "check", str(script)]) == 2
    marked = [line for line in script.read_text().splitlines() if " # EDIT: " in line]
    assert len(marked) == 7
    told = capfd.readouterr().err
    assert all(line.partition(" # EDIT")[0] in told for line in marked)

    script.write_text(script.read_text().replace(" # EDIT", " # seen"))
    assert run_command(["cluster", "check", str(script)]) == 0
    assert f"next: sbatch {script}" in capfd.readouterr().out
    assert run_command(["cluster", "up", str(script)]) == 2
    assert "is for Slurm; use sbatch" in capfd.readouterr().err
