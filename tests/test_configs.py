"""Every configuration in configs/ is planned as far as that goes without its data; `owkd init` writes another one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from launch.cli import run_command
from owkd.data.index import read_split
from owkd.data.synthetic import write_dataset
from owkd.machine import GIB, this_machine
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from owkd.starting import DataFacts, Gpus, starting_text
from search.planning.mistakes import find_mistakes
from search.schedulers import describe_scheduler
from search.space import parse_search_config, read_search_config
from search.trials.budget import Budget

CONFIGS = Path(__file__).parents[1] / "configs"
FACTS = DataFacts(Path("/data/it's"), ("Fold1", "Fold2"), 5000, 200, 25, 900, 288)


def test_there_is_one_for_each_need() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {"demo", "regdb", "sysu", "one-gpu", "cluster"}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_lacks_nothing_but_its_data_and_its_teacher(path: Path, tmp_path: Path) -> None:
    """ImageNet weights would be fetched for the student: it starts from nothing here."""
    reading = read_search_config(path, ["student.init=random", f"data.root={tmp_path / 'none'}"])
    assert reading.problems == ()
    config = reading.whole()
    assert config.name == path.stem
    mistakes = find_mistakes(reading, tmp_path)
    assert mistakes
    assert all(mistake.startswith(("data.root", "no such checkpoint")) for mistake in mistakes), mistakes
    budget = Budget.of(config)
    assert budget.trials == config.search.trials
    assert budget.test_seeds > 1
    assert "after" in describe_scheduler(config.search.scheduler)


def test_a_data_set_gets_a_configuration_that_plan_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_dataset(tmp_path / "data", identities=16, images=4, size=32)
    file = tmp_path / "start.yaml"
    assert run_command(["init", str(tmp_path / "data"), "--out", str(file)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "2 folds; in Fold1, 16 images of 4 people to train on and 16 to validate with, 32 px" in told
    assert f"owkd plan {file}" in told
    raw = yaml.safe_load(file.read_text())
    assert raw["data"] == {"root": str(data.parent), "dataset": data.name, "folds": ["Fold1"], "image_size": 32}
    assert raw["train"]["batch_size"] == 16, "as many people as there are, four images of each"
    raw["teacher"]["checkpoint"] = str(tmp_path / "{fold}.safetensors")
    file.write_text(yaml.safe_dump(raw))
    identities = tuple(sorted(set(read_split(data.parent, data.name, "Fold1", "train").identities.tolist())))
    shape = architecture("nano", (1, 1, 3, 1))
    save_model(WseNet(shape, len(identities), 32, "teacher"), tmp_path / "Fold1.safetensors", identities=identities)
    assert run_command(["plan", str(file), "--no-measure", "--runs", str(tmp_path / "runs")]) == 0, capsys.readouterr()
    assert run_command(["init", str(tmp_path / "data"), "--out", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        (None, {"data.image_size": 64, "train.epochs": 6, "resources.gpu": "auto"}),
        (Gpus(1, 24 * GIB), {"data.image_size": 224, "train.epochs": 30, "resources.gpu": 0.5}),
        (Gpus(2, 8 * GIB), {"data.image_size": 224, "train.epochs": 30, "resources.gpu": 1}),
    ],
)
def test_sizes_follow_from_data_and_machine(gpus: Gpus | None, expected: dict[str, object]) -> None:
    text = starting_text(FACTS, this_machine(), gpus)
    config = parse_search_config(yaml.safe_load(text))
    found = {
        "data.image_size": config.data.image_size,
        "train.epochs": config.train.epochs,
        "resources.gpu": config.search.resources.gpu,
    }
    assert found == expected
    assert config.data.root == Path("/data")
    assert (config.name, config.data.dataset) == ("it-s", "it's")
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_no_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert run_command(["init", str(folder), "--out", str(tmp_path / "a.yaml")]) == 2
        assert "a data set must" in capsys.readouterr().err
    assert not (tmp_path / "a.yaml").exists()
