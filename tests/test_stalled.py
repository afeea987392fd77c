"""File systems that do not answer: a look that never returns stands in for the kernel."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.cli import run_command
from owkd import stalled
from owkd.errors import UserError
from owkd.interruption import heeded
from owkd.stalled import StallTimings, require_answer, watched

QUICK = StallTimings(answer_s=0.2, give_up_s=0.6, grace_s=0.2, look_s=0.01)
ENDS_S = 60


class Mount:
    """A folder whose file system answers or not, and what was told of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers = threading.Event()
        self.told: list[str] = []
        self.ended: list[int] = []
        self.over = threading.Event()

    def look(self, path: Path) -> None:
        if path == self.folder or self.folder in path.parents:
            self.answers.wait()

    def tell(self, text: str) -> None:
        self.told.append(text)
        if "answers again" in text:
            self.over.set()
        if "stalled; waiting" in text and self.comes_back:
            self.answers.set()

    comes_back = False

    def end(self, code: int) -> None:
        self.ended.append(code)
        self.over.set()


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    found = Mount(tmp_path / "mnt")
    monkeypatch.setattr(stalled, "_look", found.look)
    yield found
    found.answers.set()


@pytest.mark.parametrize("path", ["file", "folder", "nothing", "no folder/file", "x" * 5000, "nul\0"])
def test_whatever_is_there_or_not_answers(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "in it").mkdir(parents=True)
    require_answer([tmp_path / path], StallTimings(answer_s=ENDS_S))


def test_what_does_not_answer_is_named(mount: Mount, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"nothing answers at {mount.folder} for 0.2 s; .*stalled.* or name another"):
        require_answer([tmp_path / "healthy", mount.folder], QUICK)


@pytest.mark.parametrize(
    "words",
    [["plan", "{}/config.yaml"], ["trials", "{}/runs/a"], ["plan", "config.yaml", "--set=data.root={}"]],
)
def test_every_command_says_so_instead_of_waiting(
    words: list[str], mount: Mount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("launch.cli.require_answer", lambda paths: require_answer(paths, QUICK))
    assert run_command([word.format(mount.folder) for word in words]) == 2
    assert f"nothing answers at {mount.folder}" in capsys.readouterr().err


def test_a_configuration_whose_data_do_not_answer_is_refused(
    mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from launch.configuration import load_checked

    monkeypatch.setattr("launch.configuration.require_answer", lambda paths: require_answer(paths, QUICK))
    file = tmp_path / "config.yaml"
    file.write_text(f"{{name: a, data: {{root: {mount.folder}, dataset: d}}, search: {{space: {{}}}}}}")
    with pytest.raises(UserError, match="nothing answers at"):
        load_checked(file)


def test_people_read_that_files_stall_and_that_they_are_back(mount: Mount) -> None:
    mount.comes_back = True
    timings = StallTimings(answer_s=0.2, give_up_s=ENDS_S, grace_s=ENDS_S, look_s=0.01)
    with watched([mount.folder], mount.tell, timings, mount.end):
        assert mount.over.wait(ENDS_S)
    assert mount.told == [
        f"nothing answers at {mount.folder} for 0.2 s: its file system has stalled; waiting",
        f"{mount.folder} answers again",
    ]
    assert mount.ended == []


def test_what_stalls_for_too_long_ends_in_order_where_that_is_possible(mount: Mount) -> None:
    with heeded() as asked_for, pytest.raises(KeyboardInterrupt), watched([mount.folder], mount.tell, QUICK, mount.end):
        threading.Event().wait(ENDS_S)
    assert asked_for() == 128 + signal.SIGTERM
    assert "giving up" in mount.told[-1]
    assert mount.ended == []


def test_and_is_ended_where_it_is_not(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda process, number: sent.append(number))
    with watched([mount.folder], mount.tell, QUICK, mount.end):
        assert mount.over.wait(ENDS_S)
    assert (sent, mount.ended) == ([signal.SIGTERM], [1])
