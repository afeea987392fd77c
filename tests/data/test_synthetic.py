import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from owkd.data import synthetic
from owkd.data.images import load_images
from owkd.data.index import SPLITS, read_split
from owkd.data.preparing.folds import divide
from owkd.data.synthetic import DATASET, write_dataset
from owkd.errors import DataError

FOLDS = ("Fold1", "Fold2")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("synthetic"), identities=24, images=6, size=32, seed=3)


def test_it_writes_the_published_layout(dataset: Path) -> None:
    assert dataset.name == DATASET
    files = sorted(dataset.rglob("*.png"))
    assert len(files) == 24 * 6 * len(FOLDS)
    for path in files:
        fold, split, level, identity, _ = path.relative_to(dataset).parts
        assert fold in FOLDS
        assert split in SPLITS
        assert level == "allcam"
        assert 1 <= int(identity) <= 24
    with Image.open(files[0]) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (32, 32))


def test_no_identity_is_in_two_splits_of_a_fold_and_the_folds_swap_the_test_half(dataset: Path) -> None:
    people = {
        fold: {split: set(read_split(dataset.parent, DATASET, fold, split).identities.tolist()) for split in SPLITS}
        for fold in FOLDS
    }
    for splits in people.values():
        assert sum(len(members) for members in splits.values()) == 24
        assert set().union(*splits.values()) == set(range(1, 25))
        assert len(splits["validation"]) == 4
    for one, other in (FOLDS, FOLDS[::-1]):
        assert people[one]["test"] == people[other]["train"] | people[other]["validation"]


@pytest.mark.parametrize(("identities", "validation"), [(16, 4), (40, 4), (60, 6), (101, 10)])
def test_about_a_fifth_and_at_least_four_are_for_validation(identities: int, validation: int) -> None:
    folds = divide(range(1, identities + 1), np.random.default_rng(0))
    assert len(folds["Fold1"]["validation"]) == validation
    assert min(len(splits["train"]) for splits in folds.values()) >= 4


def test_images_of_a_person_are_the_same_in_both_folds_and_name_their_camera(dataset: Path) -> None:
    by_fold = [
        {path.parent.name + path.name: path.read_bytes() for path in (dataset / f).rglob("*.png")} for f in FOLDS
    ]
    assert by_fold[0] == by_fold[1]
    assert len(set(by_fold[0].values())) == 24 * 6
    split = read_split(dataset.parent, DATASET, "Fold1", "test")
    assert split.cameras is not None
    assert set(split.cameras.tolist()) == {1, 2, 3}


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    first, again, other = (
        contents(write_dataset(tmp_path / name, identities=16, images=2, size=16, seed=seed))
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert first == again
    assert set(first.values()).isdisjoint(other.values())


def test_a_person_looks_the_same_however_many_there_are(tmp_path: Path) -> None:
    few, more = (
        write_dataset(tmp_path / name, identities=count, images=2, size=16, seed=7)
        for name, count in (("a", 16), ("b", 20))
    )
    for identity in ("0001", "0016"):
        (one,), (other,) = (sorted(folder.glob(f"Fold1/*/allcam/{identity}/cam1_0001.png")) for folder in (few, more))
        assert one.read_bytes() == other.read_bytes()


def test_raw_pixels_say_little_about_who_it_is(tmp_path: Path) -> None:
    write_dataset(tmp_path, identities=48, images=8, size=32, seed=0)
    split = read_split(tmp_path, DATASET, "Fold1", "test")
    pixels = load_images(split, 32)[..., 0].reshape(len(split.paths), -1) / 255
    distances = ((pixels[:, None] - pixels[None]) ** 2).sum(axis=2)
    precisions = []
    for query, row in enumerate(distances):
        others = np.argsort(row, kind="stable")
        others = others[others != query]
        hits = np.flatnonzero(split.identities[others] == split.identities[query]) + 1
        precisions.append(np.mean(np.arange(1, len(hits) + 1) / hits))
    chance = 7 / (24 * 8 - 1)
    assert chance < np.mean(precisions) < 0.45


def test_people_are_warmer_than_what_is_behind_them(dataset: Path) -> None:
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(dataset.rglob("Fold1/**/*.png"))]).astype(float)
    body, corners = images[:, 8:16, 14:18], np.concatenate((images[:, :4, :4], images[:, :4, -4:]), axis=1)
    assert np.mean(body.mean(axis=(1, 2)) > corners.mean(axis=(1, 2))) > 0.9


@pytest.mark.parametrize(("name", "value"), [("identities", 15), ("images", 1), ("size", 8)])
def test_too_little_is_refused_by_name(tmp_path: Path, name: str, value: int) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(DataError, match=rf"{name} >= \d+.*{name}={value}"):
        write_dataset(tmp_path / "new", **changed)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATASET).mkdir()
    (tmp_path / DATASET / "precious.txt").write_text("mine")
    with pytest.raises(DataError, match="new or empty"):
        write_dataset(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["precious.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def stop_at_the_third(picture: np.ndarray) -> bytes:
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return b""

    monkeypatch.setattr(synthetic, "_png", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, identities=16, images=2, size=16)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_call_leaves_nothing_that_the_next_does_not_remove(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from owkd.data.synthetic import write_dataset; "
    code += "write_dataset(Path(sys.argv[1]), identities=2000)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    while not list(tmp_path.glob(f".*/{DATASET}/Fold1")):
        assert process.poll() is None
    process.kill()
    process.wait()
    write_dataset(tmp_path, identities=16, images=2, size=16)
    assert [path.name for path in tmp_path.iterdir()] == [DATASET]
