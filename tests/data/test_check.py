import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from owkd.data.checking import Finding, Report, SplitCount, check_dataset, dataset_folders
from owkd.errors import DataError


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of one data set in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("check") / "D_thermal"
    rng = np.random.default_rng(0)
    people = {identity: rng.integers(0, 256, (2, 8, 6), dtype=np.uint8) for identity in range(1, 9)}
    layout = {
        "Fold1": {"train": (1, 2), "validation": (3, 7), "test": (4, 5, 6)},
        "Fold2": {"train": (4, 5), "validation": (6, 8), "test": (1, 2, 3)},
    }
    for fold, splits in layout.items():
        for split, identities in splits.items():
            for identity in identities:
                place = folder / fold / split / "allcam" / f"{identity:04d}"
                place.mkdir(parents=True)
                for number, image in enumerate(people[identity]):
                    Image.fromarray(image).save(place / f"cam3_{number}.png")
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / sound.name)


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def test_a_sound_data_set_has_no_findings_and_is_counted(folder: Path) -> None:
    report = check_dataset(folder)
    assert report.findings == []
    assert report.counts["Fold1"] == {
        "train": SplitCount(2, 4),
        "validation": SplitCount(2, 4),
        "test": SplitCount(3, 6),
    }
    assert report.counts["Fold2"]["test"] == SplitCount(3, 6)


def test_images_that_are_damaged_alike_are_one_finding(folder: Path) -> None:
    for image in (folder / "Fold1/train/allcam").glob("*/*.png"):
        image.write_bytes(b"text")
    finding = only(check_dataset(folder))
    assert len(finding.paths) == 4
    assert finding.text.startswith("images must be readable, but 4 are not: not an image")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("gone.png")])
def test_what_is_no_file_among_the_images(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "Fold1/train/allcam/0001/more.png")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("fatal", "no_file")
    assert finding.paths == ("Fold1/train/allcam/0001/more.png",)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "an empty file"), (b"text", "not an image"), (None, "truncated")]
)
def test_a_damaged_image(folder: Path, content: bytes | None, reason: str) -> None:
    image = folder / "Fold1/train/allcam/0001/cam3_0.png"
    image.write_bytes(image.read_bytes()[:-40] if content is None else content)
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.where) == ("fatal", "damaged_image", "Fold1/train")
    assert reason in finding.text
    assert finding.paths == ("Fold1/train/allcam/0001/cam3_0.png",)


def test_a_blank_image(folder: Path) -> None:
    Image.new("L", (8, 6), 40).save(folder / "Fold1/train/allcam/0001/cam3_0.png")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("warning", "blank_image")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_same_image_in_two_splits_even_in_another_format(folder: Path, split: str) -> None:
    source = folder / "Fold1/test/allcam/0004/cam3_0.png"
    identity = {"train": "0001", "validation": "0003"}[split]
    Image.open(source).convert("RGB").save(folder / f"Fold1/{split}/allcam/{identity}/copy.bmp")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.where) == ("fatal", "image_in_two_splits", "Fold1")
    assert set(finding.paths) == {f"Fold1/{split}/allcam/{identity}/copy.bmp", "Fold1/test/allcam/0004/cam3_0.png"}
    assert f"{split} and test" in finding.text


def test_the_same_image_in_two_folds_is_what_two_folds_mean(folder: Path) -> None:
    one = folder / "Fold1/train/allcam/0001/cam3_0.png"
    other = folder / "Fold2/test/allcam/0001/cam3_0.png"
    assert one.read_bytes() == other.read_bytes()
    other.unlink()
    os.link(one, other)
    assert check_dataset(folder).findings == []


def test_the_same_image_of_two_people(folder: Path) -> None:
    shutil.copy(folder / "Fold1/test/allcam/0004/cam3_0.png", folder / "Fold1/test/allcam/0005/again.png")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.where) == ("fatal", "image_of_two_identities", "Fold1/test")


def test_the_same_image_twice(folder: Path) -> None:
    place = folder / "Fold1/test/allcam/0004"
    shutil.copy(place / "cam3_0.png", place / "again.png")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("warning", "image_twice")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_identity_in_test_and_in_training(folder: Path, split: str) -> None:
    place = folder / f"Fold2/{split}/allcam/1"
    place.mkdir()
    for number in range(2):
        noise = np.random.default_rng([9, number]).integers(0, 256, (8, 6), dtype=np.uint8)
        Image.fromarray(noise).save(place / f"cam3_{number}.png")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.where) == ("fatal", "identity_in_test_and_training", "Fold2")
    assert f"in {split} and in test, but 1 are" in finding.text


def test_an_identity_in_train_and_validation(folder: Path) -> None:
    place = folder / "Fold1/validation/allcam/0001"
    place.mkdir()
    for number in range(2):
        noise = np.random.default_rng([9, number]).integers(0, 256, (8, 6), dtype=np.uint8)
        Image.fromarray(noise).save(place / f"cam3_{number}.png")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("warning", "identity_in_train_and_validation")


def test_an_identity_folder_that_is_no_number(folder: Path) -> None:
    shutil.move(folder / "Fold1/test/allcam/0004", folder / "Fold1/test/allcam/anna")
    report = check_dataset(folder)
    finding = only(report)
    assert (finding.severity, finding.kind) == ("fatal", "identity_not_a_number")
    assert finding.paths == ("Fold1/test/allcam/anna",)
    assert report.counts["Fold1"]["test"] == SplitCount(2, 4)


def test_an_identity_without_images(folder: Path) -> None:
    (folder / "Fold1/train/allcam/0099").mkdir()
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("fatal", "identity_without_images")


def test_an_identity_with_two_folders(folder: Path) -> None:
    place = folder / "Fold1/train/allcam"
    (place / "1").mkdir()
    (place / "0001/cam3_1.png").rename(place / "1/cam3_1.png")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("fatal", "identity_twice")
    assert finding.paths == ("Fold1/train/allcam/0001", "Fold1/train/allcam/1")


def test_an_identity_with_one_image(folder: Path) -> None:
    (folder / "Fold1/test/allcam/0006/cam3_0.png").unlink()
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.where) == ("warning", "single_image", "Fold1/test")
    assert ": 6" in finding.text


def test_a_fold_without_images(folder: Path) -> None:
    shutil.rmtree(folder / "Fold2/train/allcam")
    (folder / "Fold2/train/allcam").mkdir()
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.where) == ("fatal", "no_images", "Fold2/train")


def test_a_fold_without_a_split(folder: Path) -> None:
    shutil.rmtree(folder / "Fold2/validation")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.where) == ("fatal", "missing_split", "Fold2/validation")


def test_an_empty_fold(folder: Path) -> None:
    (folder / "Fold3").mkdir()
    report = check_dataset(folder)
    assert [finding.kind for finding in report.fatal] == ["missing_split"] * 3
    assert {finding.where for finding in report.fatal} == {"Fold3/train", "Fold3/validation", "Fold3/test"}


def test_a_split_without_the_camera_level(folder: Path) -> None:
    split = folder / "Fold1/train"
    shutil.move(split / "allcam/0001", split / "0001")
    shutil.rmtree(split / "allcam")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("fatal", "wrong_layout")
    assert "allcam" in finding.text


def test_a_file_that_is_passed_over(folder: Path) -> None:
    place = folder / "Fold1/train/allcam/0001"
    for name in ("x.gif", "Thumbs.db", ".DS_Store"):
        (place / name).write_bytes(b"x")
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind) == ("warning", "ignored_file")
    assert finding.paths == ("Fold1/train/allcam/0001/x.gif",)


def test_several_faults_are_all_reported(folder: Path) -> None:
    (folder / "Fold1/train/allcam/0001/cam3_0.png").write_bytes(b"")
    (folder / "Fold1/train/allcam/x").mkdir()
    shutil.rmtree(folder / "Fold2/test")
    report = check_dataset(folder)
    assert {finding.kind for finding in report.fatal} == {"damaged_image", "identity_not_a_number", "missing_split"}


def test_data_sets_are_found_in_their_folder_and_above(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "E_thermal")
    (folder.parent / "notes").mkdir()
    assert dataset_folders(folder) == [folder]
    assert dataset_folders(folder.parent) == [folder, folder.parent / "E_thermal"]


def test_a_folder_without_a_data_set_is_refused(tmp_path: Path) -> None:
    for call in (dataset_folders, check_dataset):
        with pytest.raises(DataError, match="must hold folds"):
            call(tmp_path)
    with pytest.raises(DataError, match="must be a folder"):
        dataset_folders(tmp_path / "nowhere")


def lone(folder: Path, split: str) -> None:
    _, *others = sorted((folder / "Fold1" / split / "allcam").iterdir())
    for other in others:
        shutil.rmtree(other)


def without_pairs(folder: Path) -> None:
    for image in (folder / "Fold1/validation/allcam").glob("*/*_1.png"):
        image.unlink()


def two_cameras(folder: Path) -> None:
    place = folder / "Fold1/test"
    (place / "allcam").rename(place / "cam3")
    (place / "cam6").mkdir()
    shutil.move(place / "cam3/0005", place / "cam6/0005")
    shutil.copytree(place / "cam3/0004", place / "cam6/4")
    for number, image in enumerate((place / "cam6/4").iterdir()):
        Image.fromarray(np.random.default_rng(number + 50).integers(0, 256, (8, 6), dtype=np.uint8)).save(image)


@pytest.mark.parametrize(
    ("spoil", "kind", "paths"),
    [
        (lambda folder: lone(folder, "train"), "one_identity", ()),
        (lambda folder: lone(folder, "validation"), "one_identity", ()),
        (without_pairs, "no_pairs", ()),
        (two_cameras, "identity_twice", ("Fold1/test/cam3/0004", "Fold1/test/cam6/4")),
        (
            lambda folder: (folder / "Fold1/train/allcam/0009").symlink_to("gone"),
            "no_identity",
            ("Fold1/train/allcam/0009",),
        ),
        (
            lambda folder: (folder / "Fold1/train/allcam/0001/cam3_0.png").rename(folder / "Fold1/train/allcam/a.png"),
            "no_identity",
            ("Fold1/train/allcam/a.png",),
        ),
        (
            lambda folder: (folder / "Fold1/train/allcam/0001/cam3_0.png").rename(folder / "Fold1/train/a.png"),
            "no_identity",
            ("Fold1/train/a.png",),
        ),
    ],
)
def test_what_training_would_refuse_or_drop_is_fatal(
    folder: Path, spoil: Callable[[Path], None], kind: str, paths: tuple[str, ...]
) -> None:
    spoil(folder)
    (finding,) = check_dataset(folder).fatal
    assert (finding.kind, finding.paths) == (kind, paths)


def test_folders_beside_all_cameras_are_passed_over_aloud(folder: Path) -> None:
    (folder / "Fold1/train/cam3/0001").mkdir(parents=True)
    finding = only(check_dataset(folder))
    assert (finding.severity, finding.kind, finding.paths) == ("warning", "ignored_folder", ("Fold1/train/cam3",))


def test_images_of_8_bits_among_deeper_ones_are_named(folder: Path) -> None:
    rng = np.random.default_rng(3)
    images = sorted((folder / "Fold1").rglob("*.png"))
    for image in images[1:]:
        Image.fromarray(rng.integers(6000, 8000, (8, 6)).astype(np.uint16)).save(image)
    mixed = [finding for finding in check_dataset(folder).findings if finding.kind == "mixed_depths"]
    assert [finding.paths for finding in mixed] == [(images[0].relative_to(folder).as_posix(),)]
