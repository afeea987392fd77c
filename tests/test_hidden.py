"""A folder of the user's that hides a package of ours is named before anything else goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.connection import connection
from owkd.errors import UserError
from owkd.hidden import HOME, what_hides

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HOME)}


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@pytest.fixture(params=["search/__init__.py", "launch.py"])
def hiding(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / request.param
    file.parent.mkdir(exist_ok=True)
    file.touch()
    return file


def test_a_command_says_so_instead_of_starting(hiding: Path) -> None:
    folder = hiding.parent if hiding.name == "launch.py" else hiding.parents[1]
    done = python(folder, "-m", "owkd", "--version")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    shown = hiding if hiding.name == "launch.py" else hiding.parent
    assert (
        line == f"error: {shown} hides the package of owkd that has its name; rename it, or start from another folder"
    )


def test_a_notebook_is_warned_when_it_imports_us(hiding: Path) -> None:
    folder = hiding.parent if hiding.name == "launch.py" else hiding.parents[1]
    done = python(folder, "-c", "import owkd")
    assert done.returncode == 0
    assert "RuntimeWarning" in done.stderr
    assert "hides the package of owkd" in done.stderr


def test_ray_is_not_started_where_its_workers_would_find_it(hiding: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hiding.parent if hiding.name == "launch.py" else hiding.parents[1])
    with pytest.raises(UserError, match="hides the package of owkd"):
        connection(None)


def test_plain_folders_and_our_own_hide_nothing(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    assert what_hides([str(tmp_path), str(HOME)]) is None
    assert python(tmp_path, "-W", "error", "-c", "import owkd").returncode == 0
    (tmp_path / "search.py").touch()
    assert what_hides([str(HOME), str(tmp_path)]) is None
    assert what_hides([str(tmp_path), str(HOME)]) == tmp_path / "search.py"
