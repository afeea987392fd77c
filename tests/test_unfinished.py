"""Hidden folders of what is being made: none stays for ever, and nothing that is not ours goes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from owkd.temporary import MARK
from owkd.unfinished import unfinished_folder

SLEEPER = """
import sys, time
from pathlib import Path
from owkd.unfinished import unfinished_folder
with unfinished_folder(Path(sys.argv[1])) as folder:
    (folder / "half").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def maker(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(tmp_path / "table")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "table" in process.stdout.readline()
    return process


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, maker: subprocess.Popen[str]) -> None:
    with unfinished_folder(tmp_path / "table") as folder:
        assert len(list(tmp_path.iterdir())) == 2, "its process lives"
        assert [path.name for path in folder.iterdir()] == [MARK]
    assert len(list(tmp_path.iterdir())) == 1
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait()
    with unfinished_folder(tmp_path / "other"):
        assert len(list(tmp_path.iterdir())) == 2, "another thing is made"
    with unfinished_folder(tmp_path / "table") as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mark", [None, "", "my notes\n", '{"made by": "owkd", "on": "another-machine"}'])
def test_a_name_alone_says_nothing(tmp_path: Path, mark: str | None) -> None:
    theirs = tmp_path / ".table-mine"
    theirs.mkdir()
    if mark is not None:
        (theirs / MARK).write_text(mark)
    with unfinished_folder(tmp_path / "table"):
        pass
    assert list(tmp_path.iterdir()) == [theirs]


def test_beside_a_device_is_no_place_for_folders() -> None:
    with unfinished_folder(Path("/dev/null")) as folder:
        assert Path("/dev") not in folder.parents
