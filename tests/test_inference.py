"""A model in use: whatever an image comes as, the networks see the same pixels as in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import owkd
from owkd.errors import CheckpointError, DataError
from owkd.evaluation.embedding_table import embed_folder
from owkd.models import CHAMPION
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from search.results.parquet import read_table

SIDE = 32
WINDOW = (6000.0, 7000.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> owkd.Model:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = WseNet(architecture("nano", (1, 1, 1, 1)), 5, SIDE, "student").eval()
    folder = tmp_path_factory.mktemp("champion")
    save_model(network, folder / CHAMPION, window=WINDOW)
    return owkd.Model.load(folder)


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    images = {
        "grey.png": Image.fromarray(rng.integers(0, 256, (40, 20), dtype=np.uint8)),
        "colour.png": Image.fromarray(rng.integers(0, 256, (20, 40, 3), dtype=np.uint8)),
        "deep.tiff": Image.fromarray(rng.integers(5900, 7100, (40, 20)).astype(np.uint16)),
        "kelvin.tiff": Image.fromarray(rng.uniform(5900, 7100, (40, 20)).astype(np.float32)),
    }
    for name, image in images.items():
        image.save(tmp_path / name)
    return tmp_path


def test_paths_images_and_arrays_of_the_same_picture_have_the_same_embedding(model: owkd.Model, folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            image.load()
            embeddings = model.embed([path, str(path), image, np.asarray(image)])
        assert embeddings.shape == (4, model.embed(path).shape[0])
        assert embeddings.dtype == np.float32
        assert (embeddings == embeddings[0]).all(), path


def test_embeddings_are_those_of_the_command(model: owkd.Model, folder: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.safetensors"
    save_model(model.network, checkpoint, window=WINDOW)
    embed_folder(checkpoint, folder, tmp_path / "table.parquet")
    table = read_table(tmp_path / "table.parquet")
    paths = [folder / name for name in table["path"].to_pylist()]
    assert len(paths) == 4
    np.testing.assert_allclose(model.embed(paths), np.stack(table["embedding"].to_pylist()), rtol=1e-5, atol=1e-6)


def test_an_array_of_several_images_is_several(model: owkd.Model, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    assert (model.embed(images) == model.embed(list(images))).all()


def test_a_picture_that_lies_is_turned_upright_and_stays_as_it_is(model: owkd.Model, rng: np.random.Generator) -> None:
    upright = Image.fromarray(rng.integers(0, 256, (40, 20), dtype=np.uint8))
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = lying.getexif()
    exif[0x0112] = 6
    assert (model.embed(lying) == model.embed(upright)).all()
    assert lying.size == (40, 20)
    assert model.preprocess(upright).shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("missing.png", "no such image: missing.png"),
        (np.zeros((4, 4, 4), np.uint8), r"must be \(H, W\) of grey values or .* but is \(4, 4, 4\) of uint8"),
        (np.zeros((0, 4)), "but is \\(0, 4\\) of float64"),
        (np.array([["a"]]), "of <U1"),
    ],
)
def test_what_is_no_image_is_named(model: owkd.Model, image: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        model.embed([image])  # type: ignore[list-item]


def test_a_damaged_file_is_named(model: owkd.Model, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png cannot be read: not an image"):
        model.embed(tmp_path / "a.png")


def test_no_images_and_no_model_are_errors(model: owkd.Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one image"):
        model.embed([])
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        owkd.Model.load(tmp_path)
