"""Files of every kind: upright, named where there is more in them than is taken, and nothing of it on the terminal."""

import struct
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from launch.cli import run_command
from owkd.data.checking import check_dataset
from owkd.data.images import load_images
from owkd.data.index import Split
from owkd.data.reading.picture import decode_whole, read_header
from owkd.data.reading.survey import pixel_fingerprint, survey
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.training.prepare import build_network

GREY = np.random.default_rng(0).integers(0, 256, (6, 10), dtype=np.uint8)


def turned(folder: Path, suffix: str, orientation: int, values: np.ndarray = GREY) -> Path:
    """A file that says how it is to be turned."""
    path = folder / f"t{orientation}{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(path, exif=exif, lossless=True, quality=100)
    return path


UPRIGHT = {
    1: lambda values: values,
    2: lambda values: values[:, ::-1],
    3: lambda values: values[::-1, ::-1],
    4: lambda values: values[::-1],
    5: lambda values: values.T,
    6: lambda values: values.T[:, ::-1],
    7: lambda values: values[::-1, ::-1].T,
    8: lambda values: values.T[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp", ".jpg"])
def test_every_format_is_read_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = turned(tmp_path, suffix, orientation)
    found = np.asarray(decode_whole(path))[..., 0].astype(int)
    expected = UPRIGHT[orientation](GREY).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= (6 if suffix == ".jpg" else 0)
    assert read_header(path).turned == (orientation != 1)


def test_sixteen_bits_are_turned_too(tmp_path: Path) -> None:
    values = GREY.astype(np.uint16) * 256
    path = turned(tmp_path, ".png", 6, values)
    np.testing.assert_array_equal(np.asarray(decode_whole(path))[..., 0], UPRIGHT[6](GREY))


def test_turned_images_have_another_place_in_the_cache_than_an_older_version_gave_them(tmp_path: Path) -> None:
    split = Split(tmp_path, (turned(tmp_path, ".png", 6).name,), np.array([1]))
    assert survey(split).turned == 1
    assert pixel_fingerprint(split, None) != split.fingerprint


@pytest.mark.parametrize("name", ["x.pgm", "x.webp", "x.PGM"])
def test_pgm_and_webp_are_read(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY).save(tmp_path / name, lossless=True)
    np.testing.assert_array_equal(np.asarray(decode_whole(tmp_path / name))[..., 0], GREY)


def dataset(root: Path) -> Path:
    """Nothing is wrong with it: two people a split, two images each."""
    rng = np.random.default_rng(1)
    for split, people in {"train": (1, 2), "validation": (3, 4), "test": (5, 6)}.items():
        for person in people:
            folder = root / "D" / "Fold1" / split / "allcam" / f"{person}"
            folder.mkdir(parents=True)
            for number in range(2):
                Image.fromarray(rng.integers(0, 256, (9, 7), dtype=np.uint8)).save(folder / f"{number}.png")
    return root / "D"


def write_stereo(path: Path) -> None:
    first, second = (Image.fromarray(np.roll(GREY, shift)).convert("RGB") for shift in (0, 7))
    first.save(path, format="MPO", save_all=True, append_images=[second])


def write_pages(path: Path) -> None:
    pages = [Image.fromarray(np.roll(GREY, shift)) for shift in (0, 7)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def write_radiometric(path: Path) -> None:
    Image.fromarray(GREY).save(path, quality=95)
    content = path.read_bytes()
    segment = b"FLIR\0\x01\0\0" + b"raw temperatures"
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:])


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("m.jpg", write_stereo, "the first, full picture is taken"),
        ("p.tif", write_pages, "the first is taken"),
        ("r.jpg", write_radiometric, "the rendered picture is taken, not the temperatures"),
    ],
)
def test_which_picture_of_several_is_taken_is_said(tmp_path: Path, name: str, write, words: str) -> None:
    folder = dataset(tmp_path)
    write(folder / "Fold1/test/allcam/5" / name)
    (finding,) = check_dataset(folder).findings
    assert (finding.kind, finding.severity) == ("several_pictures", "warning")
    assert finding.text.startswith("1 image is")
    assert words in finding.text
    assert finding.paths == (f"Fold1/test/allcam/5/{name}",)


def test_the_check_counts_turned_images_and_judges_what_training_sees(tmp_path: Path) -> None:
    """A copy that is stored turned shows the same, and so does one of 16 bits in the window."""
    folder = dataset(tmp_path)
    place = folder / "Fold1/test/allcam/5"
    values = np.asarray(Image.open(place / "0.png"))
    turned(place, ".png", 6, np.ascontiguousarray(values.T[::-1]))
    np.testing.assert_array_equal(np.asarray(decode_whole(place / "t6.png"))[..., 0], values)
    kinds = {finding.kind: finding for finding in check_dataset(folder).findings}
    assert set(kinds) == {"turned_image", "image_twice"}
    assert kinds["turned_image"].text == "1 image is stored in another orientation than seen (EXIF), and read upright"
    assert len(kinds["image_twice"].paths) == 2


def write_remarkable(path: Path) -> None:
    """A file whose EXIF data cannot be read, which Pillow says aloud."""
    Image.fromarray(GREY).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")


def test_what_pillow_says_is_a_finding_and_never_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(tmp_path)
    place = folder / "Fold1/test/allcam/5"
    write_remarkable(place / "r.png")
    with warnings.catch_warnings(record=True) as raw:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(np.asarray(decode_whole(place / "r.png"))[..., 0], GREY)
    assert raw, "Pillow has something to say of this file"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        load_images(Split(place, ("r.png",), np.array([1])), 8, tmp_path / "cache")
        report = check_dataset(folder)
    assert [finding.kind for finding in report.findings] == ["remark"]
    assert str(raw[0].message).split()[0] in report.findings[0].text
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(build_network(architecture("nano"), 2, 32, "student", seed=0), path)
    return path


def test_unreadable_images_are_named_and_may_be_left_out(
    tmp_path: Path, checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(tmp_path)
    place = folder / "Fold1/test/allcam"
    (place / "5/torn.png").write_bytes((place / "5/0.png").read_bytes()[:60])
    (place / "6/empty.jpg").write_bytes(b"")
    out = tmp_path / "out.parquet"
    commands = (["evaluate", str(checkpoint), str(folder)], ["embed", str(checkpoint), str(place), "--out", str(out)])
    for command in commands:
        assert run_command(command) == 2
        assert "2 cannot be decoded" in capfd.readouterr().err
        assert run_command([*command, "--skip-unreadable"]) == 0
        said = capfd.readouterr().err
        assert "left out, 2 of 6 images cannot be read" in said
        assert "5/torn.png: " in said
        assert "6/empty.jpg: an empty file" in said
    paths = pq.read_table(out)["path"].to_pylist()
    assert paths == ["5/0.png", "5/1.png", "6/0.png", "6/1.png"]


def test_nothing_but_unreadable_images_is_an_error(tmp_path: Path, checkpoint: Path, capfd) -> None:
    (tmp_path / "x.png").write_bytes(b"x")
    command = ["embed", str(checkpoint), str(tmp_path), "--out", str(tmp_path / "o.parquet"), "--skip-unreadable"]
    assert run_command(command) == 2
    assert "some image must be readable" in capfd.readouterr().err
