import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from owkd.data.checking import check_dataset
from owkd.data.identity_list import read_identity_list
from owkd.data.index import SPLITS, read_split
from owkd.data.preparing import Summary, arrange_sysu, place, placing
from owkd.errors import DataError

DATASET = "SYSU-MM01_thermal"
PEOPLE = range(1, 25)
ONLY_IN_COLOUR = (23, 24)
FOLDS = ("Fold1", "Fold2")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """SYSU-MM01 as distributed, in small: people 23 and 24 were seen by no infrared camera."""
    folder = tmp_path / "raw"
    rng = np.random.default_rng(0)
    for person in PEOPLE:
        for camera in (1, 3, 6):
            if (camera == 6 and person % 3 == 0) or (camera != 1 and person in ONLY_IN_COLOUR):
                continue
            place = folder / f"cam{camera}" / f"{person:04d}"
            place.mkdir(parents=True)
            for number in (1, 2):
                pixels = rng.integers(0, 256, (6, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number:04d}.jpg")
    exp = folder / "exp"
    exp.mkdir()
    for name, people in (("train_id", range(1, 13)), ("val_id", range(13, 18)), ("test_id", range(18, 25))):
        (exp / f"{name}.txt").write_text(",".join(map(str, people)) + "\n")
    return folder


def prepare_sysu(raw: Path, folder: Path, seed: int = 0) -> Summary:
    """In two folds of ours."""
    return place(arrange_sysu(raw, division="two-fold", seed=seed), folder)


def listing(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_it_makes_two_sound_folds_of_everybody_seen_in_infrared(raw: Path, tmp_path: Path) -> None:
    summary = prepare_sysu(raw, tmp_path / "out")
    report = check_dataset(tmp_path / "out" / DATASET)
    assert report.fatal == ()
    for fold in FOLDS:
        people = [set(read_split(tmp_path / "out", DATASET, fold, split).identities.tolist()) for split in SPLITS]
        assert set().union(*people) == set(PEOPLE) - set(ONLY_IN_COLOUR)
        assert sum(map(len, people)) == 22
        assert summary.identities[fold] == {split: len(own) for split, own in zip(SPLITS, people, strict=True)}
        assert summary.images[fold] == {split: count.images for split, count in report.counts[fold].items()}
    assert summary.remarks == ("2 listed people have no infrared image and are in no fold",)
    assert summary.folder == tmp_path / "out" / DATASET
    one, other = (set(read_split(tmp_path / "out", DATASET, fold, "test").identities.tolist()) for fold in FOLDS)
    assert one.isdisjoint(other)
    assert one | other == set(PEOPLE) - set(ONLY_IN_COLOUR)


def test_file_names_keep_the_camera(raw: Path, tmp_path: Path) -> None:
    prepare_sysu(raw, tmp_path / "out")
    split = read_split(tmp_path / "out", DATASET, "Fold1", "test")
    assert split.cameras is not None
    for path, identity, camera in zip(split.paths, split.identities, split.cameras, strict=True):
        number = path.rsplit("_", 1)[1]
        assert camera in (3, 6)
        source = raw / f"cam{camera}" / f"{identity:04d}" / number
        assert (split.folder / path).read_bytes() == source.read_bytes()


def test_files_are_hard_links(raw: Path, tmp_path: Path) -> None:
    summary = prepare_sysu(raw, tmp_path / "out")
    image = next((tmp_path / "out").rglob("cam3_0001.jpg"))
    assert image.stat().st_nlink == 3
    assert (summary.copied, summary.kept) == (0, 0)
    assert summary.linked == sum(sum(splits.values()) for splits in summary.images.values())


@pytest.fixture
def no_links_from_raw(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the raw images were on another file system."""
    link = os.link

    def guarded(source: Path, target: Path) -> None:
        if raw in source.parents:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target)

    monkeypatch.setattr(os, "link", guarded)


@pytest.mark.usefixtures("no_links_from_raw")
def test_where_links_cannot_be_made_images_are_copied_once(raw: Path, tmp_path: Path) -> None:
    summary = prepare_sysu(raw, tmp_path / "out")
    assert summary.copied == summary.linked > 0
    image = next((tmp_path / "out").rglob("cam3_0001.jpg"))
    source = raw / "cam3" / image.parent.name / "0001.jpg"
    assert image.read_bytes() == source.read_bytes()
    assert image.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert image.stat().st_nlink == 2
    again = prepare_sysu(raw, tmp_path / "out")
    assert (again.copied, again.linked, again.kept) == (0, 0, summary.copied + summary.linked)


def test_it_is_deterministic_and_the_seed_decides(raw: Path, tmp_path: Path) -> None:
    first, again, other = (
        listing(prepare_sysu(raw, tmp_path / name, seed=seed).folder) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first.keys() != other.keys()


def test_it_goes_on_after_an_interruption(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = listing(prepare_sysu(raw, tmp_path / "whole").folder)
    calls = []

    def dies(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 7:
            raise KeyboardInterrupt
        fill(*arguments)

    fill = placing._fill
    monkeypatch.setattr(placing, "_fill", dies)
    with pytest.raises(KeyboardInterrupt):
        prepare_sysu(raw, tmp_path / "out")
    monkeypatch.undo()
    half_written = next((tmp_path / "out").rglob("*.jpg"))
    half_written.unlink()
    half_written.write_bytes(b"half")
    summary = prepare_sysu(raw, tmp_path / "out")
    assert summary.kept > 0
    assert summary.linked > 0
    assert listing(summary.folder) == whole


def test_another_division_does_not_mix_with_the_first(raw: Path, tmp_path: Path) -> None:
    before = listing(prepare_sysu(raw, tmp_path / "out").folder)
    with pytest.raises(DataError, match="another division"):
        prepare_sysu(raw, tmp_path / "out", seed=5)
    assert listing(tmp_path / "out" / DATASET) == before


def test_a_folder_of_something_else_is_refused(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / DATASET).mkdir(parents=True)
    (tmp_path / "out" / DATASET / "mine.txt").write_text("x")
    with pytest.raises(DataError, match="new or empty"):
        prepare_sysu(raw, tmp_path / "out")
    assert listing(tmp_path / "out") == {f"{DATASET}/mine.txt": b"x"}


def test_it_says_whose_division_this_is(raw: Path, tmp_path: Path) -> None:
    summary = prepare_sysu(raw, tmp_path / "out")
    assert "not published" in summary.note
    assert "ours" in summary.note
    plan = json.loads((summary.folder / "folds.json").read_text())
    assert plan["note"] == summary.note
    assert set(plan["folds"]) == set(FOLDS)


@pytest.mark.parametrize(
    "content",
    [
        b"1,2,30",
        b"1,2,30,\r\n",
        b"\xef\xbb\xbf1,2,30\r\n",
        b"1, 2,\r\n30,,\r\n\r\n",
        "1,2,30\r\n".encode("utf-16"),
        b"0001,0002,0030\n",
    ],
)
def test_lists_of_identities_are_read_as_any_editor_saves_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train_id.txt").write_bytes(content)
    assert read_identity_list(tmp_path / "train_id.txt") == [1, 2, 30]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1,two,3", r"numbers only, but .*train_id\.txt has 'two'"),
        (b"1;2;3", r"numbers only, but .*train_id\.txt has '1;2;3'"),
        (b"\xff\xff", r"must be text, but .*train_id\.txt is not"),
    ],
)
def test_other_lists_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train_id.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_identity_list(tmp_path / "train_id.txt")


def test_windows_listings_give_the_same_folds(raw: Path, tmp_path: Path) -> None:
    before = listing(prepare_sysu(raw, tmp_path / "a").folder)
    for path in (raw / "exp").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b",\r\n"))
    assert listing(prepare_sysu(raw, tmp_path / "b").folder) == before


@pytest.mark.parametrize("missing", ["cam3", "cam6", "exp/val_id.txt"])
def test_what_is_missing_of_the_raw_images_is_named(raw: Path, tmp_path: Path, missing: str) -> None:
    (raw / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=missing):
        prepare_sysu(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_people_are_refused(raw: Path, tmp_path: Path) -> None:
    for path in (raw / "exp").iterdir():
        path.write_text("1,2,3")
    with pytest.raises(DataError, match="at least 16 people must have infrared images"):
        prepare_sysu(raw, tmp_path / "out")
