"""Temporary folders: only what carries our mark, of a process that is dead, is ever removed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from owkd.temporary import MARK, NAMELESS, marked_folder, remove_leftovers, remove_unbegun

PREFIX = "owkd-x-"
KILLED = """
import os, signal, sys
from pathlib import Path
from owkd.temporary import marked_folder
with marked_folder(Path(sys.argv[1]), sys.argv[2]) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def nothing(folder: Path) -> None:
    pass


def a_file(folder: Path) -> None:
    (folder / "results.txt").write_text("mine")


def another_mark(folder: Path) -> None:
    (folder / MARK).write_text(json.dumps({"made by": "somebody"}))


def another_machine(folder: Path) -> None:
    (folder / MARK).write_text(json.dumps({"made by": "owkd", "on": "another-machine"}))


def no_json(folder: Path) -> None:
    (folder / MARK).write_text("{")


def a_list(folder: Path) -> None:
    (folder / MARK).write_text("[]")


def a_link(folder: Path) -> None:
    real = folder.parent / "real"
    real.mkdir()
    (real / "mark").write_text(json.dumps({"made by": "owkd"}))
    (folder / MARK).symlink_to(real / "mark")


@pytest.mark.parametrize("fill", [nothing, a_file, another_mark, another_machine, no_json, a_list, a_link])
def test_what_is_not_ours_stays(fill: Callable[[Path], None], tmp_path: Path) -> None:
    theirs = tmp_path / f"{PREFIX}{os.getpid()}-abcdefgh"
    theirs.mkdir()
    fill(theirs)
    before = sorted(tmp_path.rglob("*"))
    remove_leftovers(tmp_path, PREFIX)
    with marked_folder(tmp_path, PREFIX):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    with marked_folder(tmp_path, PREFIX) as used:
        assert stat.S_IMODE(used.stat().st_mode) == 0o700
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), PREFIX], check=False)
        assert done.returncode == -9
        (left,) = set(tmp_path.iterdir()) - {used}
        assert (left / "deep" / "file").exists()
        remove_leftovers(tmp_path, PREFIX)
        assert list(tmp_path.iterdir()) == [used]
    assert list(tmp_path.iterdir()) == []


def test_the_mark_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that is cut short leaves what the next one can still tell as ours."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), PREFIX], check=False)
    (left,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("owkd.temporary.shutil.rmtree", lambda path, **options: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            remove_leftovers(tmp_path, PREFIX)
    assert (left / MARK).exists()
    remove_leftovers(tmp_path, PREFIX)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("held", "stays"), [((), True), ((NAMELESS,), False), ((MARK,), False), (("a", MARK), True)])
def test_what_was_not_begun_when_the_power_failed(held: tuple[str, ...], stays: bool, tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}1"
    folder.mkdir()
    for name in held:
        (folder / name).touch()
    remove_unbegun(tmp_path, PREFIX)
    assert folder.exists() is stays
