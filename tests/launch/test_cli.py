"""The command line as scripts see it: exit codes, one clear message, nothing half-written left behind."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from launch.cli import run_command
from launch.output.console import errors
from owkd.data.synthetic import write_dataset
from tests.support.small_training import small_config

Change = Callable[[dict[str, Any], Path], None]


def write_config(path: Path, raw: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(raw))
    return path


def search_config(root: Path) -> dict[str, Any]:
    raw = small_config(root).to_dict()
    raw["search"] = {
        "trials": 2,
        "scheduler": {"name": "none"},
        "space": {"distill.logit": {"type": "float", "low": 0.01, "high": 1.0, "log": True}},
    }
    raw["retrain"] = {}
    return raw


def set_field(*path: str, value: Any) -> Change:
    def change(raw: dict[str, Any], folder: Path) -> None:
        node = raw
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value

    return change


def no_images(raw: dict[str, Any], folder: Path) -> None:
    (folder / "Empty_thermal" / "Fold1" / "train" / "allcam" / "0001").mkdir(parents=True)
    raw["data"].update(root=str(folder), dataset="Empty_thermal")


def broken_image(raw: dict[str, Any], folder: Path) -> None:
    dataset = write_dataset(folder, identities=16, images=4, size=32, seed=0)
    image = sorted((dataset / "Fold1" / "train").rglob("*.png"))[3]
    image.write_bytes(b"not an image")
    raw["data"]["root"] = str(folder)


BAD_INPUT: dict[str, tuple[Change, str]] = {
    "missing folder": (set_field("data", "root", value="/no/such/folder"), "/no/such/folder"),
    "missing fold": (set_field("data", "folds", value=["Fold7"]), "Fold7"),
    "fold without images": (no_images, "0001"),
    "image that is not one": (broken_image, "cam"),
    "unknown key": (set_field("train", "epoch", value=3), "did you mean 'epochs'?"),
    "value out of range": (set_field("train", "learning_rate", value=-1), "train.learning_rate"),
    "space entry without a field": (
        set_field("search", "space", value={"distill.loggit": {"type": "float", "low": 0.1, "high": 1}}),
        "did you mean 'distill.logit'?",
    ),
    "teacher of other sizes": (
        set_field("student", "preset", value="tiny"),
        "channels must be those that the student meets",
    ),
    "missing teacher": (set_field("teacher", "checkpoint", value="/no/teacher.safetensors"), "/no/teacher.safetensors"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_to_a_search_is_refused(
    case: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change, words = BAD_INPUT[case]
    raw = search_config(root)
    change(raw, tmp_path)
    config = write_config(tmp_path / "config.yaml", raw)
    monkeypatch.setattr(errors, "_width", 1000)
    assert run_command(["search", str(config), "--runs", str(tmp_path / "runs")]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err + shown.out
    assert not (tmp_path / "runs").exists()


def test_the_final_stage_is_asked_for_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("launch.driver.run_retrain", lambda *given, **named: asked.append((*given, named)))
    assert run_command(["retrain", "runs/x", "--seeds", "8"]) == 0
    assert run_command(["retrain", "runs/x", "--reopen", "--quiet"]) == 0
    assert run_command(["retrain", "runs/x", "--seeds", "0"]) == 2
    assert asked == [
        ("runs/x", None, {"reopen": False, "seeds": 8, "quiet": False}),
        ("runs/x", None, {"reopen": True, "seeds": None, "quiet": True}),
    ]


def test_a_run_name_that_exists_is_refused_with_the_remedy(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    config = write_config(tmp_path / "config.yaml", search_config(root))
    assert run_command(["search", str(config), "--name", "taken", "--runs", str(tmp_path / "runs")]) == 2
    assert "owkd resume" in capsys.readouterr().err.replace("\n", " ")
    assert list((tmp_path / "runs" / "taken").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], "owkd --help lists what is accepted"),
        (["data", "synth"], "owkd data synth --help lists what is accepted"),
        (["evaluate", "a", "b", "--protocol", "nope"], "nope"),
        (["trials", "/no/run"], "/no/run has none"),
        (["distill", "/no/config.yaml"], "no such file"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(arguments) == 2
    assert words in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "--help"], "--address"),
        (["search", "-h"], "--address"),
        (["-h"], "retrain"),
        ([], "retrain"),
        (["data"], "synth"),
        (["cluster"], "down"),
    ],
)
def test_help_is_exit_code_0(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(arguments) == 0
    assert words in capsys.readouterr().out


def test_python_runs_it_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "owkd", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"owkd {version('owkd')}\n")


def test_the_suffix_says_what_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, str]] = []
    monkeypatch.setattr("launch.published.export_as_onnx", lambda _, out: written.append(("onnx", str(out))))
    monkeypatch.setattr(
        "launch.published.export_published_files", lambda _, out: written.append(("published", str(out)))
    )
    for out, told in (("a.onnx", []), ("A.ONNX", []), ("a", []), ("b.onnx", ["--format", "published"])):
        assert run_command(["export", "model.safetensors", "--out", out, *told]) == 0
    assert written == [("onnx", "a.onnx"), ("onnx", "A.ONNX"), ("published", "a"), ("published", "b.onnx")]


@pytest.mark.parametrize("command", ["plan", "search"])
def test_whoever_waits_reads_what_for(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "is_interactive", True)
    file = tmp_path / "none.yaml"
    monkeypatch.setattr("search.space.read_search_config", lambda *given: pytest.fail(capsys.readouterr().err))
    with pytest.raises(pytest.fail.Exception, match=f"^Reading .*{file.name}"):
        run_command([command, str(file)])


def test_a_search_names_what_a_plan_names_each_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "_width", 1000)
    file = tmp_path / "config.yaml"
    file.write_text(
        "name: a\n"
        "data: {root: /no/such/folder, dataset: d}\n"
        "train:\n"
        "  epochs: -3\n"
        "  batchsize: 4\n"
        "teacher:\n"
        "  backbones: {epochs: 0}\n"
        "train:\n"
        "  seed: 1\n"
        "search:\n"
        "  space:\n"
        "    train.learning_rate: {type: float, low: 1, high: 0.001}\n"
    )
    told = []
    for command in ("plan", "search"):
        assert run_command([command, str(file), "--runs", str(tmp_path / "runs"), "--set", "distill.logit=-1"]) == 2
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    lines = [line.partition(": ")[0].strip(" -") for line in told[0].splitlines() if line.startswith("  - ")]
    assert lines == [*(f"line {number}" for number in (2, 4, 5, 6, 7, 8, 12)), "distill.logit"]
    assert "  - line 6: teacher.checkpoint must name a file" in told[0]  # the section, where there is no such field
    assert "  - line 12: search.space.train.learning_rate: low must be below high" in told[0]


def test_distill_and_evaluate(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path / "config.yaml", search_config(root))
    out = tmp_path / "student"
    assert run_command(["distill", str(config), "--set", "train.epochs=1", "--out", str(out)]) == 0
    assert "epoch 1/1" in capsys.readouterr().out
    checkpoint = out / "Fold1" / "best.safetensors"
    for protocol in ("standard", "merged", "center", "camera"):
        assert run_command(["evaluate", str(checkpoint), str(root / "Synthetic_thermal"), "--protocol", protocol]) == 0
        assert f"{protocol} protocol" in capsys.readouterr().out


def test_teachers_of_two_folds_need_two_files(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path / "config.yaml", search_config(root))
    arguments = ["teacher", "train", str(config), "--out", str(tmp_path / "t.safetensors")]
    assert run_command([*arguments, "--set", "data.folds=[Fold1, Fold2]"]) == 2
    assert "{fold}" in capsys.readouterr().err
    assert run_command(["teacher", "train", str(config), "--out", str(root / "teacher-Fold1.safetensors")]) == 2
    assert "exists already" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux lists them")
def test_numpy_takes_one_thread_unless_it_is_told_otherwise() -> None:
    """Threads of its BLAS would spin beside the trainings, while a proposal is made."""
    count = "import launch.cli, numpy, os; print(len(os.listdir('/proc/self/task')))"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    assert (
        subprocess.run([sys.executable, "-c", count], env=environment, capture_output=True, check=True).stdout == b"1\n"
    )
