"""The command line on published files and on any folder of images: teacher import, export, embed."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from launch.cli import run_command
from owkd.models.checkpoint import load_model, save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from tests.support.golden_recipe import GOLDEN, NUM_CLASSES, ensemble, images, published_state, spec

pytestmark = pytest.mark.numeric

NETWORKS = {"original": "teacher_original", "attention": "teacher_attention", "gce": "gce"}
# float32 weights, inputs and arithmetic against float64 ones: as in the parity tests of the networks.
TOLERANCE = 1e-4
SIDE = 224


def close(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three files of the golden teacher in float32, and what `owkd teacher import` made of them."""
    folder = tmp_path_factory.mktemp("golden")
    for network, key in NETWORKS.items():
        state = published_state(key, f"teacher_{network}")
        floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        torch.save(floats, folder / f"{network}.pth")
    given = [word for network in NETWORKS for word in (f"--{network}", str(folder / f"{network}.pth"))]
    assert run_command(["teacher", "import", *given, "--out", str(folder / "teacher.safetensors")]) == 0
    return folder


def test_imported_teacher_embeds_the_golden_images(place: Path) -> None:
    """The golden images are floats, which no image file holds: here they are given to the imported teacher itself."""
    model, info = load_model(place / "teacher.safetensors", role="teacher")
    assert info.shape == architecture("small")
    assert (info.num_classes, info.image_size) == (NUM_CLASSES, SIDE)
    with torch.inference_mode(), np.load(GOLDEN / "model_and_loss.npz") as golden:
        close(model.embed(images(torch.float32)).numpy(), golden["teacher_gce/embedding"])


@pytest.mark.timeout(300)  # two ensembles of 110 million weights, one of them in float64
def test_embed_gives_what_the_golden_networks_give(place: Path, tmp_path: Path) -> None:
    """Images from files: rows of `owkd embed` against the networks that the golden numbers verify, in float64.

    One channel of a golden image is rounded to 8 bits for this, and gray, 16-bit and palette files are made from it.
    The reference gets the pixels that were written, not those that our decoder reads.
    """
    gray = (images(torch.float64)[0, 0] * 255).round().byte().numpy()
    deep = Image.fromarray((gray.astype(np.uint16) << 8) + 17)
    palette = Image.fromarray(gray // 16).convert("P")
    palette.putpalette([part for level in range(16) for part in (level, 255 - level, 7 * level)])
    levels = (gray // 16).astype(np.int64)
    shown = (np.stack([gray] * 3, axis=2), np.stack([levels, 255 - levels, 7 * levels], axis=2))
    written = {
        "0012/grau-größe.png": (Image.fromarray(gray), 0),
        "7/16 bit.PNG": (deep, 0),
        "пешеход/palette.png": (palette, 1),
    }
    for path, (image, _) in written.items():
        (tmp_path / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "images" / path)
    out = tmp_path / "out" / "embeddings.parquet"
    assert run_command(["embed", str(place / "teacher.safetensors"), str(tmp_path / "images"), "--out", str(out)]) == 0
    table = pq.read_table(out)
    assert [str(kind) for kind in table.schema.types] == ["string", "int64", "list<element: float>"]
    assert table["path"].to_pylist() == sorted(written)
    numbers = {"0012": 12, "7": 7, "пешеход": None}
    assert table["identity"].to_pylist() == [numbers[path.split("/")[0]] for path in sorted(written)]
    with torch.inference_mode():
        given = torch.as_tensor(np.stack(shown)).double().permute(0, 3, 1, 2) / 255
        each = ensemble("teacher", "teacher", torch.float64).embed(given).numpy()
    close(np.array(table["embedding"].to_pylist()), each[[written[path][1] for path in sorted(written)]])
    assert list(out.parent.iterdir()) == [out]


def test_export_writes_the_very_files_that_were_imported(place: Path, tmp_path: Path) -> None:
    assert run_command(["export", str(place / "teacher.safetensors"), "--out", str(tmp_path / "published")]) == 0
    assert {file.stem for file in (tmp_path / "published").iterdir()} == set(NETWORKS)
    for network, key in NETWORKS.items():
        before, after = (
            torch.load(folder / f"{network}.pth", weights_only=True) for folder in (place, tmp_path / "published")
        )
        assert {name: list(tensor.shape) for name, tensor in after.items()} == spec()[key]
        assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    """The smallest checkpoint."""
    save_model(WseNet(architecture("nano"), 3, 32, "student"), tmp_path / "nano.safetensors")
    return tmp_path / "nano.safetensors"


def draw(path: Path, rng: np.random.Generator, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """Writes random pixels of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def embed(checkpoint: Path, folder: Path, out: Path) -> int:
    return run_command(["embed", str(checkpoint), str(folder), "--out", str(out)])


def test_embed_takes_images_of_any_size_at_any_depth(nano: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    folder = tmp_path / "35"
    pixels = {
        "above.bmp": draw(folder / "above.bmp", rng),
        "a/b/8/odd.png": draw(folder / "a/b/8/odd.png", rng, (51, 33)),
    }
    draw(folder / ".hidden.png", rng)
    draw(folder / ".thumbnails/x.png", rng)
    (folder / "Thumbs.db").write_bytes(b"not an image")
    assert embed(nano, folder, tmp_path / "e.parquet") == 0
    rows = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert [(row["path"], row["identity"]) for row in rows] == [("a/b/8/odd.png", 8), ("above.bmp", 35)]
    model, _ = load_model(nano)
    for row in rows:
        resized = Image.fromarray(pixels[row["path"]]).resize((32, 32), Image.Resampling.BILINEAR)
        batch = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            np.testing.assert_allclose(row["embedding"], model.embed(batch)[0].numpy(), rtol=1e-4, atol=1e-5)


def test_embed_keeps_the_old_file_when_an_image_is_damaged(
    nano: Path, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "images/1/good.png", rng)
    (tmp_path / "images/1/bad.png").write_bytes(b"")
    out = tmp_path / "out/e.parquet"
    out.parent.mkdir()
    out.write_text("old")
    assert embed(nano, tmp_path / "images", out) == 2
    assert "bad.png: an empty file" in capsys.readouterr().err
    assert out.read_text() == "old"
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(("folder", "printed"), [("empty", "has none"), ("absent", "must be a folder of images")])
def test_embed_needs_images(
    nano: Path, tmp_path: Path, folder: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert embed(nano, tmp_path / folder, tmp_path / "e.parquet") == 2
    assert printed in capsys.readouterr().err


def test_import_says_what_it_passes_over_and_export_what_it_made_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(WseNet(architecture("micro"), 4, 64, "student"), tmp_path / "student.safetensors")
    assert run_command(["export", str(tmp_path / "student.safetensors"), "--out", str(tmp_path / "files")]) == 0
    assert "optimal_weights.pth is all zeros" in capsys.readouterr().out
    given = [word for network in NETWORKS for word in (f"--{network}", str(tmp_path / "files" / f"{network}.pth"))]
    out = tmp_path / "teacher.safetensors"
    assert run_command(["teacher", "import", *given, "--out", str(out), "--image-size", "64"]) == 0
    printed = capsys.readouterr().out
    assert "attention: ignored distillLayer1.bias, distillLayer1.weight" in printed
    assert "teacher of 4 identities, preset micro (depths 1, 1, 9, 1)" in printed
    assert run_command(["teacher", "import", *given, "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
