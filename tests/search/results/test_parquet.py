"""Parts of many trials: no row lost or doubled, whenever the driver dies and whoever reads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from search.results import parquet as trial_files
from search.results.parquet import TrialFiles
from tests.support.queries import rows_of

SCHEMA = pa.schema([("trial", pa.int64()), ("epoch", pa.int64())])
EXPECTED = [(trial, epoch) for trial in range(6) for epoch in range(3)]


def write(files: TrialFiles, *numbers: int) -> None:
    for number in numbers:
        files.write(number, SCHEMA, [{"trial": number, "epoch": epoch} for epoch in range(3)])


def rows(files: TrialFiles) -> list[tuple]:
    table = files.read()
    assert table is not None, "there is no file"
    return list(zip(*(table[name].to_pylist() for name in ("trial", "epoch")), strict=True))


def by_glob(files: TrialFiles) -> list[tuple]:
    """As anybody reads them who knows no more than the folder."""
    return rows_of(f"SELECT trial, epoch FROM '{files.folder}/*.parquet' ORDER BY ALL")


def names(files: TrialFiles) -> list[str]:
    return sorted(path.name for path in files.folder.iterdir())


@pytest.fixture
def files(tmp_path: Path) -> TrialFiles:
    return TrialFiles(tmp_path / "epochs")


def test_trials_that_are_over_share_a_file(files: TrialFiles) -> None:
    write(files, *range(6))
    files.move([3, 0, 1])
    assert names(files) == ["part-00000.parquet", *(f"trial-0000{number}.parquet" for number in (2, 4, 5))]
    files.move([2, 4, 99])
    files.move([])
    assert names(files) == ["part-00000.parquet", "part-00001.parquet", "trial-00005.parquet"]
    assert rows(files) == by_glob(files) == EXPECTED
    assert [row["epoch"] for row in files.rows(3)] == [row["epoch"] for row in files.rows(5)] == [0, 1, 2]
    files.merge()
    assert names(files) == ["part-00002.parquet", "trial-00005.parquet"]
    assert rows(files) == by_glob(files) == EXPECTED


def test_many_parts_become_one(files: TrialFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_files, "MANY_PARTS", 3)
    for number in range(6):
        write(files, number)
        files.move([number])
        assert len(names(files)) < 3
    assert rows(files) == by_glob(files) == EXPECTED


def test_columns_that_only_some_trials_have_are_kept(files: TrialFiles) -> None:
    write(files, 0)
    files.write(1, SCHEMA.append(pa.field("loss/new", pa.float64())), [{"trial": 1, "epoch": 0, "loss/new": 0.5}])
    files.move([0, 1])
    table = files.read()
    assert table is not None
    assert table["loss/new"].to_pylist() == [None] * 3 + [0.5]


def test_a_row_that_was_moved_can_be_put_right(files: TrialFiles) -> None:
    write(files, *range(6))
    files.move(range(6))
    files.write(2, SCHEMA, [{"trial": 2, "epoch": 7}])
    assert [row for row in rows(files) if row[0] == 2] == [(2, 7)]
    assert len(by_glob(files)) == 5 * 3 + 1


class Killed(BaseException):
    """Stands for SIGKILL: no handler of ours catches it."""


def die_at(operation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver dies just before its n-th change to a folder from now on."""
    counted = itertools.count()

    def counting(method: Callable) -> Callable:
        def call(self: Path, *args: object, **settings: object) -> object:
            if ".tmp" in self.name and method.__name__ == "unlink":
                return method(self, *args, **settings)
            if next(counted) >= operation:
                raise Killed
            return method(self, *args, **settings)

        return call

    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, counting(getattr(Path, name)))


def move_all(files: TrialFiles) -> None:
    files.move(range(3))
    files.move(range(3, 6))
    files.merge()


@pytest.mark.parametrize("operation", range(12))
def test_a_driver_that_dies_in_between_loses_and_doubles_nothing(files, monkeypatch, operation: int) -> None:
    """Two moves of three trials (a part appears, three files go) and a merge (a part appears, two go): 11 changes."""
    write(files, *range(6))
    with monkeypatch.context() as patch:
        die_at(operation, patch)
        if operation < 11:
            with pytest.raises(Killed):
                move_all(files)
        else:
            move_all(files)
    assert rows(TrialFiles(files.folder)) == EXPECTED
    again = TrialFiles(files.folder)
    again.repair()
    assert rows(again) == by_glob(again) == EXPECTED
    move_all(again)
    assert rows(again) == by_glob(again) == EXPECTED
    assert len(names(again)) == 1


def test_a_reader_sees_each_row_once_while_files_are_moved(files: TrialFiles) -> None:
    write(files, *range(6))
    stop = threading.Event()

    def keep_moving() -> None:
        for number in itertools.count(6):
            if stop.wait(0.01):
                return
            write(files, number)
            files.move([number - 3])
            if number % 4 == 0:
                files.merge()

    mover = threading.Thread(target=keep_moving)
    mover.start()
    try:
        for _ in range(60):
            found = rows(TrialFiles(files.folder))
            assert found[:18] == EXPECTED
            assert len(found) == len(set(found))
            assert len(found) % 3 == 0
    finally:
        stop.set()
        mover.join()
