"""Runs are listed, compared and deleted, on a disk and in a store; what they share stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch.cli import run_command
from owkd.config import parse_config
from owkd.data.caches import caches_of, clear
from owkd.errors import UserError
from search.reading import compare_runs, delete_run, list_runs
from search.runs.layout import RunFolder
from search.runs.lock import lock_run
from search.runs.manifest import create, create_control, open_run
from search.storage.address import Address
from search.storage.object_store import ObjectStore
from tests.support.old_runs import unpacked
from tests.support.s3_server import objects
from tests.support.s3_server import s3 as s3


def make(run: Path, **search: object) -> RunFolder:
    """A run of which nothing was trained yet."""
    data = {"root": str(run.parent / "data"), "dataset": "people"}
    return create(run, parse_config({"data": data, "search": {"trials": 7, **search}}), {"data": {"Fold1": "a"}})


def test_runs_are_listed_with_what_they_found_the_newest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = unpacked("finished", tmp_path)
    make(run.parent / "new")
    make(run.parent / "torn").manifest.write_text("x")
    (run.parent / "notes").mkdir()
    new, old, torn = list_runs(run.parent)
    assert (old.name, old.state, old.over, old.trials, old.best) == ("fake", "finished", 10, 10, 0)
    assert old.objective == pytest.approx(0.9363, abs=1e-4)
    assert (old.metric, old.dataset) == ("val/mAP", "toy")
    assert old.bytes == sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    assert (new.name, new.state, new.over, new.trials, new.best) == ("new", "interrupted", 0, 7, None)
    assert (torn.name, torn.state) == ("torn", "unreadable")
    assert "is damaged" in str(torn.problem)
    assert list_runs(tmp_path / "nowhere") == []
    with lock_run(open_run(run.parent / "new")[0]):
        assert list_runs(run.parent)[0].state == "running"
    assert run_command(["runs", "list", str(run.parent), "--quiet"]) == 0
    assert capsys.readouterr().out.split() == [str(run.parent / name) for name in ("new", "fake", "torn")]
    assert run_command(["runs", "list", str(run.parent), "--json"]) == 0
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["interrupted", "finished", "unreadable"]


def test_a_folder_of_runs_given_for_a_run_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    for name in ("b", "a"):
        make(runs / name)
    for command in ("trials", "report", "resume", "monitor", "runs show"):
        assert run_command([*command.split(), str(runs)]) == 2
        told = capsys.readouterr().err.replace("\n", "")
        assert f"it holds 2 runs, so give one of them: {runs}/a, {runs}/b" in told


def test_what_distinguishes_runs(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b", trials=9)
    same = create(tmp_path / "c", open_run(tmp_path / "a")[1], {"data": {"Fold1": "b"}})
    found = compare_runs([tmp_path / "a", tmp_path / "b"])
    assert found.settings == {"search.trials": (7, 9)}
    assert found.caveats == ()
    assert compare_runs([tmp_path / "a", same.root]).settings == {}
    assert compare_runs([tmp_path / "a", same.root]).caveats[0].startswith("The images differ")
    with pytest.raises(UserError, match="at least two"):
        compare_runs([tmp_path / "a"])


def test_a_run_is_deleted_and_its_shared_cache_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(tmp_path / "runs" / "a")
    other = make(tmp_path / "runs" / "b")
    outside = tmp_path / "outside"
    outside.mkdir()
    (run.root / "link").symlink_to(outside)
    cache = tmp_path / "runs" / "data" / "people" / ".owkd-cache"
    cache.mkdir(parents=True)
    (cache / "Fold1-train-1.npy").write_bytes(b"12345")
    command = ["runs", "delete", str(run.root), str(other.root)]
    assert run_command(command) == 2, "nobody can be asked here"
    assert "--yes" in capsys.readouterr().err
    with lock_run(other):
        assert run_command([*command, "--yes"]) == 2
    assert "must not be driven" in capsys.readouterr().err
    assert run.manifest.exists(), "all or none"
    assert run_command([*command, "--yes"]) == 0
    assert f"stays, since all runs on this data share it: {cache} (5 B)" in capsys.readouterr().out
    assert sorted(path.name for path in run.root.parent.iterdir()) == ["data"]
    assert outside.is_dir()
    (found,) = caches_of(cache.parent)
    assert (found.images, found.targets, found.other) == (5, 0, 0)
    clear(found)
    assert caches_of(cache.parent) == []


def test_what_is_no_run_or_only_part_of_one_stays(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    control = create_control(run, open_run(run.root)[1], {})
    with pytest.raises(UserError, match="control must go with"):
        delete_run(control.root)
    (tmp_path / "precious").mkdir()
    with pytest.raises(UserError, match=r"must hold run\.yaml"):
        delete_run(tmp_path / "precious")
    run.manifest.write_text("x")
    run.journal.touch()
    delete_run(run.root)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_runs_in_a_store(s3: str, tmp_path: Path) -> None:
    local = unpacked("finished", tmp_path)
    for name in ("one", "two"):
        store = ObjectStore.at(Address.of(f"{s3}/things/{name}"))
        for path in local.rglob("*"):
            if path.is_file():
                store.write(path.relative_to(local).as_posix(), path.read_bytes())
    assert [(run.name, run.state) for run in list_runs(f"{s3}/things")] == [("one", "finished"), ("two", "finished")]
    with pytest.raises(UserError, match=f"it holds 2 runs, so give one of them: {s3}/things/one"):
        open_run(f"{s3}/things")
    delete_run(f"{s3}/things/one")
    assert {path.partition("/")[0] for path in objects(f"{s3}/things")} == {"two"}
    assert not Address.of(f"{s3}/things/one").copy("reader").exists()


def test_caches_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = tmp_path / "owkd" / "people-0123abcd"
    (place / "targets-Fold1").mkdir(parents=True)
    (place / "targets-Fold1" / "map.bin").write_bytes(b"123")
    assert run_command(["cache", "list", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["folder"], found["targets"], found["bytes"]) == (str(place), 3, 3)
    assert run_command(["cache", "list", str(tmp_path / "nowhere")]) == 2
    assert run_command(["cache", "clear", "--yes"]) == 0
    assert not place.exists()
