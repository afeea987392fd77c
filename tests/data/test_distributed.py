"""Miniatures that have the names and quirks of data sets as they are distributed, prepared by one command, twice."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from launch.cli import run_command
from owkd.data.checking import check_dataset
from owkd.data.index import SPLITS, Split, SplitName, read_split
from owkd.data.preparing import arrange_folder, arrange_market, arrange_regdb, arrange_sysu, people_of, place
from owkd.errors import DataError

Make = Callable[[Path], None]


def draw(path: Path) -> None:
    """A picture of its own at each path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.as_posix().encode()[-40:]))
    Image.fromarray(rng.integers(0, 256, (8, 6), dtype=np.uint8)).save(path)


def make_regdb(raw: Path) -> None:
    """40 people, 3 images of each kind; folders are not padded; labels of train and of test both count from 0."""
    rng = np.random.default_rng(0)
    for kind, letter in (("Visible", "v"), ("Thermal", "t")):
        for person in range(1, 41):
            for number in range(3):
                draw(raw / kind / str(person) / f"male_back_{letter}_{person:03d}{number:02d}_{number + 1}.bmp")
    for division in range(1, 11):
        people = rng.permutation(np.arange(1, 41))
        for part, own in (("train", people[:20]), ("test", people[20:])):
            for kind in ("Visible", "Thermal"):
                lines = [
                    f"{image.relative_to(raw).as_posix()} {label}"
                    for label, person in enumerate(sorted(own.tolist()))
                    for image in sorted((raw / kind / str(person)).iterdir())
                ]
                name = raw / "idx" / f"{part}_{kind.lower()}_{division}.txt"
                name.parent.mkdir(exist_ok=True)
                name.write_text("\n".join(lines) + "\n")


def make_sysu(raw: Path) -> None:
    """30 people; cameras 1, 2 (indoor), 4, 5 (outdoor) visible, 3 and 6 infrared; two whom no infrared camera saw."""
    for person in range(1, 31):
        for camera in range(1, 7):
            if not (camera in (3, 6) and person in (9, 30)):
                for number in (1, 2):
                    draw(raw / f"cam{camera}" / f"{person:04d}" / f"{number:04d}.jpg")
    (raw / "exp").mkdir()
    for name, people in (("train_id", range(1, 15)), ("val_id", range(15, 21)), ("test_id", range(21, 31))):
        (raw / "exp" / f"{name}.txt").write_text(",".join(map(str, people)) + "\n")


def make_market(raw: Path) -> None:
    """20 people to train on, 10 to test on; junk, distractors, and what else is in the archive."""
    for person in range(2, 22):
        for camera in (1, 3, 6):
            draw(raw / "bounding_box_train" / f"{person:04d}_c{camera}s1_{person:06d}_01.jpg")
    for person in range(101, 111):
        for camera in (1, 2):
            draw(raw / "query" / f"{person:04d}_c{camera}s1_{person:06d}_00.jpg")
            for box in (1, 2):
                draw(raw / "bounding_box_test" / f"{person:04d}_c{camera}s3_{person:06d}_{box:02d}.jpg")
    for number in range(4):
        draw(raw / "bounding_box_test" / f"-1_c{number + 1}s1_{number:06d}_02.jpg")
    for number in range(5):
        draw(raw / "bounding_box_test" / f"0000_c{number + 1}s2_{number:06d}_04.jpg")
    (raw / "bounding_box_test" / "Thumbs.db").write_bytes(b"x")
    (raw / "readme.txt").write_text("x")


def make_folder(raw: Path) -> None:
    """16 people by name, in folders of their cameras; the same file name again and again."""
    for number in range(16):
        for camera in ("cam_1", "cam_2"):
            draw(raw / f"person {chr(97 + number)}" / camera / "0001.png")


def make_numbered(raw: Path) -> None:
    for number in (*range(5, 20), 100):
        for image in ("a.png", "b.webp"):
            draw(raw / str(number) / image)


CASES: dict[str, tuple[Make, list[str], str, dict[tuple[str, SplitName], tuple[int, int]]]] = {
    "regdb": (
        make_regdb,
        ["regdb"],
        "RegDB_thermal",
        {(f"Fold{k}", s): n for k in range(1, 11) for s, n in zip(SPLITS, ((16, 48), (4, 12), (20, 60)), strict=True)},
    ),
    "regdb, both kinds": (
        make_regdb,
        ["regdb", "--modality", "both"],
        "RegDB_both",
        {(f"Fold{k}", s): n for k in range(1, 11) for s, n in zip(SPLITS, ((16, 96), (4, 24), (20, 120)), strict=True)},
    ),
    "sysu": (
        make_sysu,
        ["sysu"],
        "SYSU-MM01_thermal",
        {("Fold1", "train"): (13, 52), ("Fold1", "validation"): (6, 24), ("Fold1", "test"): (9, 36)},
    ),
    "sysu, both kinds": (
        make_sysu,
        ["sysu", "--modality", "both"],
        "SYSU-MM01_both",
        {("Fold1", "train"): (14, 164), ("Fold1", "validation"): (6, 72), ("Fold1", "test"): (10, 116)},
    ),
    "sysu, two folds": (
        make_sysu,
        ["sysu", "--division", "two-fold"],
        "SYSU-MM01_thermal",
        {(f"Fold{k}", s): n for k in (1, 2) for s, n in zip(SPLITS, ((10, 40), (4, 16), (14, 56)), strict=True)},
    ),
    "market": (
        make_market,
        ["market", "--name", "Market"],
        "Market",
        {("Fold1", "train"): (16, 48), ("Fold1", "validation"): (4, 12), ("Fold1", "test"): (11, 65)},
    ),
    "folder by name": (
        make_folder,
        ["folder"],
        "raw",
        {(f"Fold{k}", s): n for k in (1, 2) for s, n in zip(SPLITS, ((4, 8), (4, 8), (8, 16)), strict=True)},
    ),
    "folder by number": (
        make_numbered,
        ["folder", "--name", "Mine"],
        "Mine",
        {(f"Fold{k}", s): n for k in (1, 2) for s, n in zip(SPLITS, ((4, 8), (4, 8), (8, 16)), strict=True)},
    ),
}


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file by name, with its identity on disk and its times."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_ctime_ns)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("case", CASES)
def test_one_command_prepares_and_checks_and_a_second_changes_nothing(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words, dataset, counts = CASES[case]
    make(tmp_path / "raw")
    command = ["data", "prepare", words[0], str(tmp_path / "raw"), str(tmp_path / "out"), *words[1:]]
    assert run_command(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert ("ours" in printed.lower()) != (words[0] == "sysu" and "two-fold" not in words)
    assert ("Published: " in printed) != (words[0] == "folder" or "two-fold" in words)
    assert "0 copied, 0 there already" in printed
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / dataset]
    report = check_dataset(tmp_path / "out" / dataset)
    assert report.fatal == ()
    found = {
        (fold, split): (count.identities, count.images)
        for fold, splits in report.counts.items()
        for split, count in splits.items()
    }
    assert found == counts

    before = state(tmp_path / "out")
    originals = {path.stat().st_ino for path in (tmp_path / "raw").rglob("*") if path.is_file()}
    images = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "folds.json"]
    assert {path.stat().st_ino for path in images} <= originals, "links, and no image written anew"
    assert run_command(command) == 0
    assert f"0 images linked, 0 copied, {sum(n for _, n in counts.values())} there already" in capsys.readouterr().out
    assert state(tmp_path / "out") == before
    plan = json.loads((tmp_path / "out" / dataset / "folds.json").read_text())
    assert plan["folds"].keys() == {fold for fold, _ in counts}


def read(folder: Path, dataset: str, split: SplitName = "test", fold: str = "Fold1") -> Split:
    return read_split(folder, dataset, fold, split)


def test_regdb_is_divided_by_its_own_lists_and_a_person_known_by_the_folder(tmp_path: Path) -> None:
    make_regdb(tmp_path / "raw")
    place(arrange_regdb(tmp_path / "raw", modality="both"), tmp_path)
    for division in (1, 7):
        listed = {}
        for part in ("train", "test"):
            lines = (tmp_path / f"raw/idx/{part}_thermal_{division}.txt").read_text().split("\n")
            listed[part] = {int(line.split("/")[1]) for line in lines if line}
        splits = {split: read(tmp_path, "RegDB_both", split, f"Fold{division}") for split in SPLITS}
        people = {split: set(own.identities.tolist()) for split, own in splits.items()}
        assert people["test"] == listed["test"]
        assert people["train"] | people["validation"] == listed["train"]
        assert people["train"].isdisjoint(people["validation"])
        test = splits["test"]
        assert test.cameras is not None
        assert {path.split("_")[3]: camera for path, camera in zip(test.paths, test.cameras.tolist(), strict=True)} == {
            "v": 1,
            "t": 2,
        }


def test_sysu_students_are_not_trained_on_people_whom_the_authors_test_on(tmp_path: Path) -> None:
    make_sysu(tmp_path / "raw")
    summary = place(arrange_sysu(tmp_path / "raw"), tmp_path)
    people = {split: set(read(tmp_path, "SYSU-MM01_thermal", split).identities.tolist()) for split in SPLITS}
    assert people == {
        "train": set(range(1, 15)) - {9},
        "validation": set(range(15, 21)),
        "test": set(range(21, 30)),
    }
    assert "by the authors' own lists" in summary.note
    assert "search visible images for infrared ones" in summary.note
    assert summary.remarks == ("2 listed people have no infrared image and are in no fold",)
    (tmp_path / "raw/exp/val_id.txt").write_text("15,16,21")
    with pytest.raises(DataError, match="nobody must be on two of the lists in exp, but 21 is"):
        arrange_sysu(tmp_path / "raw")


def test_market_keeps_queries_and_distractors_apart_and_leaves_junk_out(tmp_path: Path) -> None:
    make_market(tmp_path / "raw")
    summary = place(arrange_market(tmp_path / "raw", dataset="M"), tmp_path)
    test = read(tmp_path, "M")
    queries = [path for path in test.paths if path.split("/")[-1].startswith("query_")]
    assert len(queries) == 20
    assert len(test.paths) - len(queries) == 45
    assert sorted(set(test.identities.tolist())) == [0, *range(101, 111)]
    assert test.cameras is not None
    assert set(test.cameras.tolist()) == {1, 2, 3, 4, 5}
    assert summary.remarks == (
        "4 of 69 images are left out: junk (-1), which the Market rule leaves out of every list",
        "5 images of the gallery are distractors (identity 0)",
    )


def test_any_folders_whose_names_carry_identity_and_camera_are_market(tmp_path: Path) -> None:
    for person in range(1, 17):
        for camera in (1, 2):
            draw(tmp_path / "raw" / f"part{camera}" / f"{person:04d}_c{camera}_f{person:07d}.jpg")
    draw(tmp_path / "raw/part1/-1_c1_f0000000.jpg")
    arrangement = arrange_market(tmp_path / "raw")
    assert {fold: len(splits["test"]) for fold, splits in arrangement.folds.items()} == {"Fold1": 16, "Fold2": 16}
    assert arrangement.remarks == ("1 of 33 images are left out: junk or distractors (-1, 0000)",)
    draw(tmp_path / "raw/part1/holiday.jpg")
    with pytest.raises(DataError, match=r"must carry identity and camera.*holiday\.jpg"):
        arrange_market(tmp_path / "raw")


TABLE = [
    *((f"img/{person}_{shot}.png", f"p{person}", "1", "train") for person in range(9) for shot in range(2)),
    *((f"img/t{person}_{shot}.png", f"t{person}", f"{shot + 1}", "test") for person in range(3) for shot in range(2)),
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_says_who_is_where(tmp_path: Path, suffix: str) -> None:
    raw = tmp_path / f"raw{suffix}"
    columns = ("path", "identity", "camera", "split")
    for path, *_ in TABLE:
        draw(tmp_path / path)
    if suffix == ".csv":
        with raw.open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows([columns, *TABLE])
    else:
        pq.write_table(pa.table(dict(zip(columns, zip(*TABLE, strict=True), strict=True))), raw)
    arrangement = arrange_folder(raw)
    assert arrangement.dataset == "raw"
    assert arrangement.people == dict(enumerate(sorted({row[1] for row in TABLE}), start=1))
    fold = arrangement.folds["Fold1"]
    assert len(fold["test"]) == 6
    assert len(fold["train"]) + len(fold["validation"]) == 18
    assert len(people_of(fold["validation"])) == 4
    assert "those of the table. Ours" in arrangement.note
    place(arrangement, tmp_path / "out")
    test = read(tmp_path / "out", "raw")
    assert test.cameras is not None
    assert sorted(test.cameras.tolist()) == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("gone.png", "1", "", "")], r"must name an image that is there, but got .*gone\.png \(row 2"),
        ([("a.png", "", "", "")], "row 2 of .* has no identity"),
        ([("a.png", "1", "left", "")], "camera must be a number, but got 'left'"),
        ([("a.png", "1", "1", "learn")], "split must be train, validation or test, but got 'learn'"),
        ([("a.png", "1", "1", "train")], "none of test"),
        ([("a.png", "1", "", ""), ("a.png", "01", "", "")], "01 and 1 are the same number"),
        ([("a.png", "1", "", ""), ("a.png", "1", "", "")], "an image must be named once"),
        ([("a.png", "1", "", "")], "at least 16 people"),
        ([], "names none"),
    ],
)
def test_an_unclear_table_is_refused(tmp_path: Path, rows: list[tuple[str, ...]], words: str) -> None:
    draw(tmp_path / "a.png")
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "identity", "camera", "split"), *rows])
    with pytest.raises(DataError, match=words):
        arrange_folder(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda raw: (raw / "idx/test_thermal_4.txt").unlink(), r"test_thermal_4\.txt: No such file"),
        (lambda raw: (raw / "idx/test_thermal_4.txt").write_text("Thermal/1/x.bmp\n"), "and a label, but is"),
        (
            lambda raw: (raw / "idx/test_thermal_4.txt").write_text("Thermal/1/x.bmp 0\n"),
            "a listed image must be there",
        ),
        (lambda raw: (raw / "idx/test_thermal_4.txt").write_text("../../etc/x.bmp 0\n"), "and a label, but is"),
        (
            lambda raw: (raw / "idx/test_thermal_4.txt").write_text((raw / "idx/train_thermal_4.txt").read_text()),
            "in train and in test",
        ),
        (lambda raw: (raw / "Thermal").rename(raw / "thermal images"), "must hold its thermal images in Thermal"),
    ],
)
def test_regdb_that_is_not_whole_is_refused(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    make_regdb(tmp_path / "raw")
    spoil(tmp_path / "raw")
    with pytest.raises(DataError, match=words):
        arrange_regdb(tmp_path / "raw")


def test_an_option_of_another_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_market(tmp_path / "raw")
    command = ["data", "prepare", "market", str(tmp_path / "raw"), str(tmp_path / "out"), "--division", "official"]
    assert run_command(command) == 2
    assert "--division must go with sysu, but got it with market" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
