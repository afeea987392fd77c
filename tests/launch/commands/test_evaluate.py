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


def test_lists_are_changed_on_request_and_it_is_said(
    checkpoint: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(checkpoint), str(dataset)]
    tables = []
    for options, words in (
        ([], None),
        (["--rerank"], "re-ranked with k1=20, k2=6, weight=0.3, in "),
        (["--rerank", "--rerank-k1", "5", "--rerank-k2", "2"], "re-ranked with k1=5, k2=2, weight=0.3, in "),
        (["--query-expansion", "3"], "queries expanded by 3 images each, in "),
    ):
        assert run_command([*arguments, *options]) == 0
        shown = capsys.readouterr()
        printed = " ".join((shown.out + shown.err).split())
        assert words is None or words in printed
        assert (words is not None) == ("These figures are of lists that were changed" in printed)
        tables.append([line for line in shown.out.splitlines() if "mAP" in line])
    assert len({str(table) for table in tables}) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rerank", "--rerank-k2", "30"], "k2 from 1 to k1 + 1"),
        (["--rerank", "--rerank-weight", "1.5"], "weight=1.5"),
        (["--query-expansion", "0"], "at least one image, but got 0"),
        (["--rerank", "--query-expansion", "3"], "give one of them"),
        (["--rerank", "--protocol", "merged"], "protocol 'merged' has none"),
    ],
)
def test_changes_that_cannot_be_are_refused(
    options: list[str], words: str, checkpoint: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["evaluate", str(checkpoint), str(dataset), *options]) == 2
    assert "".join(words.split()) in "".join(capsys.readouterr().err.split())
