"""The wheel is whole: what it holds works far from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, where nothing else of the project is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("owkd-*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    return site


def owkd(installed: Path, folder: Path, *arguments: str) -> str:
    """What a command prints; this environment's other packages are there, the editable owkd behind the wheel's."""
    done = subprocess.run(
        [sys.executable, "-m", "owkd", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_what_commands_read(installed: Path, tmp_path: Path) -> None:
    for kind in ("aws", "local", "kuberay", "slurm"):
        owkd(installed, tmp_path, "cluster", "init", kind, kind)
        assert (tmp_path / kind).read_text().strip()
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"owkd", "search", "launch"}
    assert (installed / "search" / "report" / "page.html.j2").is_file()
    assert all((installed / name / "py.typed").is_file() for name in ("owkd", "search", "launch"))


def test_its_code_is_what_runs(installed: Path, tmp_path: Path) -> None:
    code = "import owkd, search, launch; print(owkd.__file__, search.__file__, launch.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(file.startswith(str(installed)) for file in done.stdout.split())


def test_data_are_drawn_and_checked_far_from_the_repository(installed: Path, tmp_path: Path) -> None:
    owkd(installed, tmp_path, "data", "synth", "data", "--identities", "20", "--images", "4", "--size", "32")
    assert "nothing found that would spoil a result" in owkd(
        installed, tmp_path, "data", "check", "data/Synthetic_thermal"
    )
