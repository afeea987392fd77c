import os
from pathlib import Path

import numpy as np
import pytest

from owkd.data.index import Split, SplitName, camera_number, read_split
from owkd.errors import DataError


def put(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(
        tmp_path,
        "Walk_thermal/Fold1/train/allcam/0012/b.PNG",
        "Walk_thermal/Fold1/train/allcam/0012/a.jpg",
        "Walk_thermal/Fold1/train/allcam/7/ä ö.tiff",
        "Walk_thermal/Fold1/train/allcam/7/.hidden.png",
        "Walk_thermal/Fold1/train/allcam/7/Thumbs.db",
        "Walk_thermal/Fold1/train/allcam/.trash/x.png",
        "Walk_thermal/Fold1/train/allcam/readme.txt",
        "Walk_thermal/.owkd-cache/x.npy",
        "Other_thermal/Fold1/train/allcam/1/a.bmp",
    )
    return tmp_path


def test_it_lists_images_in_order_and_numbers_classes_by_identity(root: Path) -> None:
    split = read_split(root, "Walk_thermal", "Fold1", "train")
    assert split.paths == ("allcam/0012/a.jpg", "allcam/0012/b.PNG", "allcam/7/ä ö.tiff")
    assert split.identities.tolist() == [12, 12, 7]
    assert split.labels.tolist() == [1, 1, 0]
    assert split.identities.dtype == np.int64
    assert split.labels.dtype == np.int64
    assert split.num_identities == 2
    assert split.cameras is None
    assert split.folder == root / "Walk_thermal/Fold1/train"
    assert all((split.folder / path).is_file() for path in split.paths)


@pytest.mark.parametrize(
    ("path", "camera"),
    [
        ("allcam/1/cam3_0001.png", 3),
        ("allcam/1/CAM12-7.png", 12),
        ("allcam/1/0001_c3s1_000151_00.jpg", 3),
        ("allcam/1/c6.png", 6),
        ("allcam/1/0001_c2_f5.jpg", 2),
        ("allcam/1/camera3_0001.png", 3),
        ("allcam/1/cam_3_0001.png", 3),
        ("allcam/1/Camera-12 7.png", 12),
        ("allcam/1/0001_camera_3.png", 3),
        ("allcam/1/0000_001_03_0303morning_0036_2.jpg", 3),
        ("allcam/1/0000_001_15_0113afternoon_0036_2.jpg", 15),
        ("allcam/1/1_001_2_01.png", 2),
        ("allcam/1/0001C5T0001F001.jpg", 5),
        ("allcam/1/0003_c1_22.png", 1),
        ("allcam/1/0001_c001_00016450_0.jpg", 1),
        ("camera_5/1/0001.png", 5),
        ("allcam/1/0001_001_03_0036.png", None),
        ("allcam/1/camera.png", None),
        (f"allcam/1/cam{10**20}_1.png", None),
        ("cam5/1/0001.png", 5),
        ("cam5/1/cam4_0001.png", 4),
        ("allcam/1/0001.png", None),
        ("allcam/1/disc3_1.png", None),
        ("allcam/1/c3x.png", None),
    ],
)
def test_the_camera_is_read_from_names(path: str, camera: int | None) -> None:
    assert camera_number(path) == camera


def test_cameras_are_known_only_where_every_image_has_one(tmp_path: Path) -> None:
    place = "D/Fold1/test/allcam"
    put(tmp_path, f"{place}/1/cam3_1.png", f"{place}/2/cam6_1.png")
    cameras = read_split(tmp_path, "D", "Fold1", "test").cameras
    assert cameras is not None
    assert cameras.tolist() == [3, 6]
    put(tmp_path, f"{place}/2/plain.png")
    assert read_split(tmp_path, "D", "Fold1", "test").cameras is None


def test_camera_folders_are_read_where_there_is_no_merged_one(tmp_path: Path) -> None:
    put(tmp_path, "D/F/test/cam3/1/a.png", "D/F/test/cam6/1/a.png", "D/F/test/notes/1/a.png")
    split = read_split(tmp_path, "D", "F", "test")
    assert split.paths == ("cam3/1/a.png", "cam6/1/a.png")
    assert split.identities.tolist() == [1, 1]
    assert split.cameras is not None
    assert split.cameras.tolist() == [3, 6]


def test_the_fingerprint_follows_the_files_and_not_their_place(root: Path) -> None:
    def fingerprint() -> str:
        return read_split(root, "Walk_thermal", "Fold1", "train").fingerprint

    before = fingerprint()
    assert before == fingerprint()
    (root / "Walk_thermal").rename(root / "Moved")
    assert read_split(root, "Moved", "Fold1", "train").fingerprint == before
    (root / "Moved").rename(root / "Walk_thermal")

    image = root / "Walk_thermal/Fold1/train/allcam/7/ä ö.tiff"
    stamp = image.stat().st_mtime_ns
    os.utime(image, ns=(stamp, stamp + 1))
    touched = fingerprint()
    image.write_bytes(image.read_bytes() + b"x")
    os.utime(image, ns=(stamp, stamp))
    longer = fingerprint()
    put(root, "Walk_thermal/Fold1/train/allcam/7/new.png")
    assert len({before, touched, longer, fingerprint()}) == 4


def test_a_vanished_image_is_named(root: Path) -> None:
    split = Split(root, ("gone.png",), np.array([1]))
    with pytest.raises(DataError, match=r"gone\.png"):
        _ = split.fingerprint


@pytest.mark.parametrize(
    ("dataset", "fold", "split", "words"),
    [
        (
            "Walk_thermo",
            "Fold1",
            "train",
            ["'Walk_thermo'", "Other_thermal, Walk_thermal", "did you mean 'Walk_thermal'"],
        ),
        ("xyz", "Fold1", "train", ["'xyz'", "Other_thermal, Walk_thermal"]),
        ("Walk_thermal", "Fold2", "train", ["fold 'Fold2'", "did you mean 'Fold1'"]),
        ("Walk_thermal", "Fold1", "test", ["split 'test'", "holds train"]),
    ],
)
def test_a_missing_folder_is_named_with_what_is_there(
    root: Path, dataset: str, fold: str, split: SplitName, words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        read_split(root, dataset, fold, split)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root must be a folder, but got .*nowhere"):
        read_split(tmp_path / "nowhere", "D", "Fold1", "train")


def test_a_split_without_the_camera_level_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "D/Fold1/train/0001/a.png")
    with pytest.raises(DataError, match=r"must have a folder 'allcam'.*holds 0001"):
        read_split(tmp_path, "D", "Fold1", "train")


def test_an_empty_fold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "D/Fold1/train/allcam").mkdir(parents=True)
    with pytest.raises(DataError, match="a fold must have images"):
        read_split(tmp_path, "D", "Fold1", "train")


@pytest.mark.parametrize("name", ["anna", "7b", "-3", "٣"])
def test_an_identity_folder_that_is_no_number_is_refused(root: Path, name: str) -> None:
    put(root, f"Walk_thermal/Fold1/train/allcam/{name}/a.png")
    with pytest.raises(DataError, match=f"named by a number, but got '{name}'"):
        read_split(root, "Walk_thermal", "Fold1", "train")


def test_an_identity_without_images_is_refused(root: Path) -> None:
    put(root, "Walk_thermal/Fold1/train/allcam/8/notes.txt")
    with pytest.raises(DataError, match=r"every identity must have images.*allcam/8 has none"):
        read_split(root, "Walk_thermal", "Fold1", "train")


def test_two_folders_of_one_identity_are_refused(root: Path) -> None:
    put(root, "Walk_thermal/Fold1/train/allcam/007/a.png")
    with pytest.raises(DataError, match="'007' and '7'"):
        read_split(root, "Walk_thermal", "Fold1", "train")
