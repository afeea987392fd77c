"""Files that appear whole, where their links lead, and stay when the power fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from owkd import files
from owkd.errors import UserError
from owkd.files import require_writable, written_only_if, written_whole


def write(path: Path, text: str = "new") -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text)


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is brought to the disk, and what is renamed, in order."""
    seen: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        seen.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name.split('-')[0]}")
        sync(handle)

    def replaced(path: Path, target: Path) -> Path:
        seen.append(f"rename to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return seen


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, operations: list[str]
) -> None:
    write(tmp_path / "a" / "b" / "table")
    assert operations == [
        "sync a",
        f"sync {tmp_path.name.split('-')[0]}",
        f"sync .table.{os.getpid()}",
        "rename to table",
        "sync b",
    ]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    if there:
        (tmp_path / "disk" / "table").write_text("old")
    (tmp_path / "link").symlink_to("disk/table")
    (tmp_path / "second").symlink_to(tmp_path / "link")
    write(tmp_path / "second")
    assert (tmp_path / "second").is_symlink()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "table").read_text() == "new"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["table"]


def test_links_that_lead_nowhere_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "a")
    with pytest.raises(UserError, match="symbolic links"):
        require_writable(tmp_path / "a")


def test_a_device_a_pipe_and_standard_output_are_written_into(tmp_path: Path) -> None:
    before = Path("/dev/null").stat().st_mode
    write(Path("/dev/null"))
    assert Path("/dev/null").stat().st_mode == before
    code = (
        "from pathlib import Path; from owkd.files import require_writable, written_whole\n"
        "print('before', flush=True); path = Path('/dev/stdout'); require_writable(path)\n"
        "with written_whole(path) as temporary: temporary.write_text('content\\n')\n"
        "print('after')"
    )
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
    assert piped.stdout == (tmp_path / "log").read_text() == "before\ncontent\nafter\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def fail() -> None:
        with written_whole(tmp_path / "table") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    write(tmp_path / "table", "old")
    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "table").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_not_permitted_any_more_gets_no_name(tmp_path: Path) -> None:
    def refuse() -> None:
        raise RuntimeError("another one writes here")

    with pytest.raises(RuntimeError, match="another one"), written_only_if(refuse):
        write(tmp_path / "table")
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "table")


def test_a_file_system_that_syncs_no_folders_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def synced(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(files.NO_SYNC[0], "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    write(tmp_path / "table")
    assert (tmp_path / "table").read_text() == "new"


@pytest.mark.parametrize("name", ["new", "old", "a/b/new", "link", "/dev/null"])
def test_a_place_to_write_to_is_tried_and_left_as_it_was(tmp_path: Path, name: str) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")
    before = sorted(tmp_path.rglob("*"))
    require_writable(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "--out must name a file, but .*folder is a folder"),
        ("link", "--out must name a file"),
        ("file/table", "Not a directory: .*file"),
        ("file/a/b", "Not a directory: .*file"),
        ("/proc/nothing/table", "must be a place to write to"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(UserError, match=words):
        require_writable(tmp_path / name)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_read_only_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def access(path: Path, mode: int) -> bool:
        return what != "file"

    def temporary(dir: Path) -> None:
        raise OSError(30, "Read-only file system")

    (tmp_path / "table").touch()
    monkeypatch.setattr(os, "access", access)
    if what == "folder":
        monkeypatch.setattr("tempfile.TemporaryFile", temporary)
    with pytest.raises(UserError, match=r"--queries must be a place to write to, but .*(Permission|Read-only)"):
        require_writable(tmp_path / "table", "--queries")


def test_a_full_disk_is_told_with_the_name_of_the_file() -> None:
    with pytest.raises(OSError, match="No space left on device") as full, written_whole(Path("/dev/full")) as temporary:
        temporary.write_bytes(bytes(10))
    assert full.value.filename == "/dev/full"
