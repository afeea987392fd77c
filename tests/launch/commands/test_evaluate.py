"""`owkd evaluate` under published protocols: which rule counts, and what it is measured on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from launch.cli import run_command
from owkd.config.protocols import RULES
from owkd.data.synthetic import write_dataset
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.training.prepare import build_network


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), identities=16, images=4, size=32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(build_network(architecture("nano"), 4, 32, "student", seed=0), path)
    return path


def row(printed: str, name: str, value: str) -> bool:
    """Whether the table has this line."""
    return any(
        [cell.strip() for cell in line.strip("│ ").split("│")][:2] == [name, value] for line in printed.split("\n")
    )


def test_a_published_protocol_says_its_rule_and_its_spread(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(dataset, tmp_path / "SYSU")
    for image in (root / "Fold1" / "test").rglob("cam2*.png"):
        image.rename(image.with_name(image.name.replace("cam2", "cam4")))
    assert run_command(["evaluate", str(checkpoint), str(root), "--protocol", "sysu-all-single"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{RULES['sysu-all-single']}." in printed
    assert "± over 10 galleries" in printed


def test_the_market_protocol_takes_the_queries_that_the_data_set_names(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(dataset, tmp_path / "Market")
    people = sorted((root / "Fold1" / "test" / "allcam").iterdir())
    for person in people:
        first = min(person.iterdir())
        first.rename(first.with_name(f"query_{first.name}"))
    assert run_command(["evaluate", str(checkpoint), str(root), "--protocol", "market"]) == 0
    printed = capsys.readouterr().out
    assert row(printed, "queries", str(len(people)))


@pytest.mark.parametrize("name", ["1.png", f"cam{10**30}_1.png"])
def test_an_image_without_a_camera_is_named(
    name: str, checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(dataset, tmp_path / "Odd")
    images = sorted((root / "Fold1" / "test").rglob("*.png"))
    images[3].rename(images[3].with_name(name))
    assert run_command(["evaluate", str(checkpoint), str(root), "--protocol", "market"]) == 2
    error = "".join(capsys.readouterr().err.split())
    assert f"needsthecameraofeveryimage,but1of{len(images)}carrynone" in error
    assert name in error
