"""`owkd data prepare`, `owkd data check` and `owkd evaluate --protocol camera`: exit codes and output."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from launch.cli import run_command
from owkd.data.synthetic import write_dataset
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.training.prepare import build_network
from tests.support.slow_evaluation import evaluate

PEOPLE = 16
SHOTS = 2


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), identities=PEOPLE, images=4, size=32)


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return shutil.copytree(dataset, tmp_path / dataset.name)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """SYSU-MM01 in small: each person in both infrared cameras, and one whom no infrared camera saw."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "raw"
    for camera in (1, 3, 6):
        for person in range(1, PEOPLE + 1 + (camera == 1)):
            place = folder / f"cam{camera}" / f"{person:04d}"
            place.mkdir(parents=True)
            for shot in range(1, SHOTS + 1):
                Image.fromarray(rng.integers(0, 256, (8, 6), dtype=np.uint8)).save(place / f"{shot:04d}.jpg")
    (folder / "exp").mkdir()
    lists = {"train": range(1, 9), "val": range(9, 12), "test": range(12, PEOPLE + 2)}
    for name, people in lists.items():
        (folder / "exp" / f"{name}_id.txt").write_text(",".join(map(str, people)) + "\n")
    return folder


def row(output: str, *cells: str) -> bool:
    """Whether a line of a table holds these cells, in this order."""
    lines = ([cell.strip() for cell in line.strip("│┃ ").split("│")] for line in output.splitlines())
    return any(cells == tuple(line) for line in lines)


def test_prepare_takes_the_official_lists_and_says_what_may_be_compared(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_command(["data", "prepare", "sysu", str(raw), str(out)]) == 0
    printed = capsys.readouterr().out
    assert row(printed, "Fold1", "train", "8", "32")
    assert row(printed, "Fold1", "validation", "3", "12")
    assert row(printed, "Fold1", "test", "5", "20")
    assert "Published: who is in train, validation and test, by the authors' own lists" in printed
    assert "1 listed people have no infrared image" in printed
    assert "nothing found that would spoil a result" in printed


def test_prepare_in_two_folds_says_whose_division_it_is(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["data", "prepare", "sysu", str(raw), str(out), "--division", "two-fold"]
    assert run_command(command) == 0
    printed = capsys.readouterr().out
    for fold in ("Fold1", "Fold2"):
        files = list((out / "SYSU-MM01_thermal" / fold / "test" / "allcam").rglob("*.jpg"))
        assert len(files) == 8 * 2 * SHOTS
        assert row(printed, fold, "test", "8", "32")
        assert row(printed, fold, "train", "4", "16")
        assert row(printed, fold, "validation", "4", "16")
    assert "The authors' division of SYSU-MM01 into folds is not published. This one is ours" in printed
    assert "128 images linked, 0 copied, 0 there already" in printed

    assert run_command(command) == 0
    assert "0 images linked, 0 copied, 128 there already" in capsys.readouterr().out
    assert run_command(["data", "check", str(out)]) == 0


def test_prepare_help_says_whose_split_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["data", "prepare", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "is published and what is ours" in printed


@pytest.mark.parametrize("arguments", [("sysu", "{raw}/exp", "{out}"), ("other", "{raw}", "{out}"), ("sysu", "{raw}")])
def test_prepare_refuses_what_it_cannot_use(raw: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    assert run_command(["data", "prepare", *(word.format(raw=raw, out=out) for word in arguments)]) == 2
    assert not out.exists()


def test_a_sound_data_set_is_counted_and_passes(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["data", "check", str(dataset)]) == 0
    printed, error = capsys.readouterr()
    assert row(printed, "Fold1", "train", "4", "16")
    assert row(printed, "Fold2", "test", "8", "32")
    assert "nothing found that would spoil a result" in printed
    assert error == ""


def test_a_fatal_finding_is_shown_and_is_exit_code_2(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = copy / "Fold1" / "test" / "allcam"
    person = sorted(test.iterdir())[0]
    shutil.copytree(person, copy / "Fold1" / "train" / "allcam" / person.name)
    assert run_command(["data", "check", str(copy)]) == 2
    printed, error = capsys.readouterr()
    assert f"fatal  Fold1: people must not be in train and in test, but {int(person.name)} are" in printed
    assert f"    Fold1/test/allcam/{person.name}/cam1_0001.png" in printed
    assert error.count("owkd:") == 1
    assert "5 findings" in error  # the person, and each of four images that are in two splits
    assert "Traceback" not in error


def test_a_warning_is_shown_and_passes(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person = sorted((copy / "Fold2" / "train" / "allcam").iterdir())[0]
    (person / "notes[1].txt").write_text("x")
    assert run_command(["data", "check", str(copy)]) == 0
    printed, error = capsys.readouterr()
    assert "warning  Fold2/train: files are passed over" in printed
    assert f"    Fold2/train/allcam/{person.name}/notes[1].txt" in printed
    assert error == ""


def test_many_paths_are_cut_short(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    person = sorted((copy / "Fold1" / "train" / "allcam").iterdir())[0]
    for number in range(7):
        (person / f"{number}.txt").write_text("x")
    assert run_command(["data", "check", str(copy)]) == 0
    printed = capsys.readouterr().out
    assert "4.txt" in printed
    assert "5.txt" not in printed
    assert "and 2 more" in printed


def test_every_data_set_of_a_folder_is_looked_at(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copytree(copy, copy.parent / "Another")
    image = next((other / "Fold1").rglob("*.png"))
    image.write_bytes(b"")
    assert run_command(["data", "check", str(copy.parent)]) == 2
    printed, error = capsys.readouterr()
    assert printed.count("nothing found") == 1
    assert image.name in printed
    assert "1 finding of that kind" in error


def test_what_is_no_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["data", "check", str(tmp_path)]) == 2
    assert "give the folder that holds Fold1" in capsys.readouterr().err


def test_camera_protocol_leaves_out_the_own_camera(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against plain loops over the files themselves."""
    model = build_network(architecture("nano"), 4, 32, "student", seed=0).eval()
    checkpoint = tmp_path / "model.safetensors"
    save_model(model, checkpoint)
    queries = tmp_path / "queries.parquet"
    arguments = ["evaluate", str(checkpoint), str(dataset), "--protocol", "camera", "--queries", str(queries)]
    assert run_command(arguments) == 0
    printed = capsys.readouterr().out

    files = sorted((dataset / "Fold1" / "test" / "allcam").rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    with torch.no_grad():
        embeddings = model.embed(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    people, cameras = ([int(name) for name in names] for names in zip(*map(person_and_camera, files), strict=True))
    assert set(cameras) == {1, 2, 3}
    camera, standard = (
        evaluate(embeddings.double().tolist(), people, protocol, cameras) for protocol in ("camera", "standard")
    )
    expected = sum(camera.average_precision) / len(people)
    assert abs(expected - sum(standard.average_precision) / len(people)) > 0.01
    assert "camera protocol" in " ".join(printed.split())
    assert row(printed, "mAP", f"{expected:.4f}")
    assert row(printed, "rank-1", f"{camera.cmc[0]:.4f}")
    assert row(printed, "mINP", f"{camera.mean_inverse_negative_penalty:.4f}")
    assert row(printed, "queries", "32")
    assert row(printed, "queries without a match", "0")
    rows = pq.read_table(queries).to_pydict()
    assert (rows["identity"], rows["camera"]) == (people, cameras)
    assert rows["average_precision"] == pytest.approx(camera.average_precision)
    assert row(printed, "mAP", f"{np.mean(rows['average_precision']):.4f}")
    assert row(printed, "rank-1", f"{np.mean(rows['rank_1']):.4f}")


def person_and_camera(file: Path) -> tuple[str, str]:
    return file.parent.name, file.name[len("cam")]


def test_camera_protocol_needs_cameras(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = tmp_path / "model.safetensors"
    save_model(build_network(architecture("nano"), 4, 32, "student", seed=0), checkpoint)
    images = sorted((copy / "Fold1" / "test").rglob("*.png"))
    images[3].rename(images[3].with_name("1.png"))
    assert run_command(["evaluate", str(checkpoint), str(copy), "--protocol", "camera"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert f"needs the camera of every image, but 1 of {len(images)} carry none in file or folder name" in error


def test_evaluation_warns_of_images_that_are_all_alike(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "model.safetensors"
    save_model(build_network(architecture("nano"), 4, 32, "student", seed=0), checkpoint)
    for image in (copy / "Fold1" / "test").rglob("*.png"):
        Image.new("L", (32, 32), 7).save(image)
    assert run_command(["evaluate", str(checkpoint), str(copy)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "warning: 100 % of the matches are exactly as far from their query as images of other people" in printed
