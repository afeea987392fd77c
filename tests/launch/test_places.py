"""Places for results are tried before the work: one line that names the place, exit code 2, and nothing was done."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from launch import cli
from launch.cli import run_command

COMMANDS = {
    "embed": "embed student.safetensors images --out {place}",
    "evaluate": "evaluate student.safetensors data --queries {place}",
    "export onnx": "export student.safetensors --format onnx --out {place}",
    "teacher import": "teacher import --original o --attention a --gce g --out {place}",
    "report": "report runs/none --out {place}",
}
FOLDERS = {
    "demo": "demo --out {place}",
    "data synth": "data synth {place}",
    "data prepare": "data prepare sysu raw {place}",
    "run": "run --DBpath data --inputDB SYSU-MM01_thermal --out {place}",
}


def refused(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    out = io.StringIO()
    monkeypatch.setattr(cli, "errors", Console(file=out, width=500))
    assert run_command(command.split()) == 2
    return out.getvalue().strip()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: a folder with a file and a folder in it, and nothing that they could work with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_folder_in_place_of_a_file_is_refused_first(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "folder" in refused(command.format(place="folder"), monkeypatch)
    assert "is a folder" in refused(command.format(place="folder"), monkeypatch)


@pytest.mark.parametrize("command", [*COMMANDS.values(), *FOLDERS.values()], ids=[*COMMANDS, *FOLDERS])
def test_a_place_below_a_file_is_refused_first(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(command.format(place="file/place"), monkeypatch)
    assert "must be a place to write to" in said
    assert "Not a directory: file" in said
    assert "\n" not in said
    assert sorted(path.name for path in folder.rglob("*")) == ["file", "folder"]
