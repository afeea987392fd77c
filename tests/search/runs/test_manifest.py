"""A run's folder: one name, one driver, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from owkd.config import parse_config, with_values
from owkd.errors import UserError
from search.runs.lock import is_locked, lock_run
from search.runs.manifest import SCHEMA_VERSION, create, create_control, open_run


@pytest.fixture
def config():
    return parse_config({"data": {"root": "d", "dataset": "s"}})


def test_a_run_remembers_everything_it_was_made_of(tmp_path: Path, config) -> None:
    create(tmp_path / "runs" / "a", config, {"data": {"Fold1": "x"}})
    folder, again, manifest = open_run(tmp_path / "runs" / "a")
    assert folder.name == "a"
    assert again == config
    assert manifest["fingerprints"] == {"data": {"Fold1": "x"}}
    assert manifest["versions"]["optuna"].startswith("5.")
    assert manifest["schema_version"] == 1
    assert "created_at" in manifest


@pytest.mark.parametrize("existing", ["file", "folder", "link"])
def test_a_name_that_exists_is_refused_and_left_alone(tmp_path: Path, config, existing: str) -> None:
    root = tmp_path / "a"
    if existing == "file":
        root.write_text("mine")
    elif existing == "folder":
        root.mkdir()
    else:
        root.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"--name.*owkd resume"):
        create(root, config, {})
    assert not (root / "run.yaml").exists()


def test_a_place_where_nothing_can_be_made_is_refused(tmp_path: Path, config) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--runs"):
        create(tmp_path / "file" / "a", config, {})


@pytest.mark.parametrize("content", [None, "- a list", "config: 3", "a: [", "config: {data: {root: x}}"])
def test_what_is_no_run_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(UserError):
        open_run(tmp_path)


def test_a_run_of_a_newer_schema_is_refused(tmp_path: Path, config) -> None:
    folder = create(tmp_path / "a", config, {})
    manifest = yaml.safe_load(folder.manifest.read_text())
    manifest |= {"schema_version": SCHEMA_VERSION + 1, "versions": {"owkd": "9.0"}}
    folder.manifest.write_text(yaml.safe_dump(manifest))
    with pytest.raises(UserError, match=rf"`schema_version <= {SCHEMA_VERSION}` must hold .* made the run, 9\.0, or"):
        open_run(folder.root)


def test_a_run_that_somebody_else_made_in_the_meantime_is_refused_too(
    tmp_path: Path, config, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def late(draft: Path, root: Path) -> None:
        create_there = root / "run.yaml"
        create_there.parent.mkdir()
        create_there.write_text("theirs")
        rename(draft, root)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(UserError, match="exists; give another --name"):
        create(tmp_path / "a", config, {})
    assert (tmp_path / "a" / "run.yaml").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_second_driver_is_refused_until_the_first_is_gone(tmp_path: Path, config) -> None:
    folder = create(tmp_path / "a", config, {})
    assert not is_locked(folder)
    with lock_run(folder):
        assert is_locked(folder)
        with pytest.raises(UserError, match="one driver"), lock_run(folder):
            pass
    assert not is_locked(folder)
    with lock_run(folder):
        pass


def test_a_killed_driver_holds_nothing(tmp_path: Path, config) -> None:
    folder = create(tmp_path / "a", config, {})
    script = (
        "import os, pathlib; from search.runs.lock import lock_run; from search.runs.layout import RunFolder\n"
        f"with lock_run(RunFolder(pathlib.Path({str(folder.root)!r}))): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with lock_run(folder):
        pass


def test_what_a_killed_driver_was_writing_is_removed(tmp_path: Path, config) -> None:
    folder = create(tmp_path / "a", config, {})
    folder.journal.write_bytes(b'{"op_code":0}\n{"op_code":1}\n{"op_c')
    folder.journal.with_name("study.journal.lock").symlink_to(folder.journal)
    for path in ("results/trials/.trial-00000.parquet.99.tmp", "checkpoints/trial-00000/Fold1/.last.pt.98.tmp"):
        (folder.root / path).parent.mkdir(parents=True)
        (folder.root / path).write_text("half")
    keep = folder.root / "checkpoints/trial-00000/Fold1/last.pt"
    keep.write_text("whole")
    folder.scratch.mkdir()
    (folder.root / ".notes.tmp").mkdir()
    for theirs in (".a.97.tmp", ".a.b.96.tmp", ".a.backup.tmp"):  # called like drafts, but nobody has marked them
        (tmp_path / theirs).mkdir()
    killed = (
        "import os, pathlib; from owkd.temporary import marked\n"
        f"draft = pathlib.Path({str(tmp_path)!r}) / f'.a.{{os.getpid()}}.tmp'; draft.mkdir()\n"
        "with marked(draft): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -9
    assert len(list(tmp_path.glob(".a.*.tmp"))) == 4
    with lock_run(folder):
        assert folder.journal.read_bytes() == b'{"op_code":0}\n{"op_code":1}\n'
    left = {str(path.relative_to(folder.root)) for path in folder.root.rglob("*") if not path.is_dir()}
    assert left == {"run.yaml", ".lock", "study.journal", "checkpoints/trial-00000/Fold1/last.pt"}
    assert not folder.scratch.exists()
    assert (folder.root / ".notes.tmp").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"a", ".a.97.tmp", ".a.b.96.tmp", ".a.backup.tmp"}


def test_a_control_is_a_run_that_the_run_around_it_drives(tmp_path: Path, config) -> None:
    run = create(tmp_path / "a", config, {"data": {"Fold1": "x"}})
    random = with_values(config, {"search.sampler": {"name": "random", "seed": 7}})
    control = create_control(run, random, {"data": {"Fold1": "x"}})
    written = control.manifest.read_text()
    assert create_control(run, config, {}) == control
    assert control.manifest.read_text() == written
    folder, again, manifest = open_run(tmp_path / "a" / "control")
    assert (folder.root, again, manifest["within"]) == (run.root / "control", random, "a")
    assert manifest["fingerprints"] == {"data": {"Fold1": "x"}}
    with pytest.raises(UserError, match=r"driven with the run around it.* go on with owkd retrain \S+/a$"):
        open_run(control.root, drive=True)


def test_what_a_killed_driver_was_writing_in_a_control_is_removed(tmp_path: Path, config) -> None:
    run = create(tmp_path / "a", config, {})
    control = create_control(run, config, {})
    control.journal.write_bytes(b"whole\ntorn")
    control.journal.with_name("study.journal.lock").symlink_to(control.journal)
    (control.root / ".run.yaml.99.tmp").write_text("half")
    control.scratch.mkdir()
    with lock_run(run):
        assert {path.name for path in control.root.iterdir()} == {"run.yaml", "study.journal"}
        assert control.journal.read_bytes() == b"whole\n"
        control.scratch.mkdir()
    assert not control.scratch.exists()


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"", b""),
        (b"torn", b""),
        (b"a\n", b"a\n"),
        (b"a\nb", b"a\n"),
        (b"a\n" + b"b" * (3 << 20), b"a\n"),  # longer than what is looked at in one go
    ],
    ids=["empty", "torn", "whole", "torn end", "long torn end"],
)
def test_only_a_torn_line_is_cut_off_a_journal(tmp_path: Path, config, content: bytes, left: bytes) -> None:
    folder = create(tmp_path / "a", config, {})
    folder.journal.write_bytes(content)
    with lock_run(folder):
        assert folder.journal.read_bytes() == left


def test_run_yaml_is_plain_yaml(tmp_path: Path, config) -> None:
    folder = create(tmp_path / "a", config, {})
    assert yaml.safe_load(folder.manifest.read_text())["config"] == config.to_dict()
