"""Nothing but the test evaluation opens the test split: watched in all processes of a real run, and in the source."""

from __future__ import annotations

import ast
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from owkd.config import Config, Partial, Reading
from owkd.data.synthetic import DATASET, write_dataset
from owkd.training.teacher import train_teacher
from search.planning.mistakes import find_mistakes
from search.planning.plan import make_plan
from search.rerun import rerun
from search.retrain.stage import FinalWork, retrain
from search.run_search import Work, search
from tests.support.queries import figures_from_queries, rows_of
from tests.support.small_training import small_config
from tests.support.split_watch import unwatch, watch, watched_evaluate, watched_train

ROOT = Path(__file__).parents[3]
FINAL = FinalWork(watched_train, watched_evaluate)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_dataset(tmp_path, identities=16, images=2, size=32, seed=0)
    section = {
        "trials": 3,
        "scheduler": {"name": "none"},
        "resources": {"cpu": 1, "gpu": 0},
        "space": {"distill.logit": {"type": "float", "low": 0.1, "high": 1.0}},
    }
    return small_config(tmp_path, train={"epochs": 1}, search=section, retrain={"top_k": 1, "seeds": 1})


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    yield
    unwatch()


def opened(config: Config) -> list[str]:
    return (config.data.root / "opened.log").read_text().splitlines()


def test_only_the_test_evaluation_opens_the_test_split(config: Config, tmp_path: Path, connect) -> None:
    log, test_split, away = tmp_path / "opened.log", tmp_path / DATASET / "Fold1" / "test", tmp_path / "away"
    count = len(list(test_split.rglob("*.png")))
    test_split.rename(away)  # what comes before the final stage does not even need it
    watch(log, "teacher training")
    train_teacher(config, lambda epoch: None, fold="Fold1", out=config.teacher.checkpoint_for("Fold1"))
    watch(log, "the plan")
    assert find_mistakes(Reading("c.yaml", config, (), Partial(config)), tmp_path / "runs") == []
    make_plan(config, tmp_path / "runs")
    watch(log, "the search")
    run = tmp_path / "runs" / "search"
    search(config, run, connect=connect, console=console(), work=Work(train=watched_train))
    watch(log, "a rerun")
    for number in (1, 2):
        rerun(run, number, tmp_path / f"again-{number}", report=lambda epoch: None)
    assert opened(config) == []

    away.rename(test_split)
    watch(log, "the final stage")
    retrain(run, connect=connect, console=console(), work=FINAL)
    once = opened(config)
    assert {line.split(" /")[0] for line in once} == {"the test evaluation"}
    images = {line.partition(" /")[2] for line in once if line.endswith(".png")}
    assert len(images) == count
    found = figures_from_queries(run)
    models = run / "results" / "retrain" / "models.parquet"
    measured = rows_of(f"""SELECT configuration, fold, seed, "test/mAP", "test/rank-1" FROM '{models}'
        WHERE "test/mAP" IS NOT NULL""")
    assert len(measured) == len(found) == 5  # champion, two baselines, control, teacher
    for *model, mean_average_precision, rank_1 in measured:
        assert found[tuple(model)] == pytest.approx((mean_average_precision, rank_1), abs=1e-12)

    watch(log, "the final stage, again")
    retrain(run, connect=lambda: pytest.fail("what is done needs no Ray"), console=console(), work=FINAL)
    assert opened(config) == once


@pytest.mark.parametrize("way", ["listdir", "scandir", "glob", "open", "pillow", "numpy"])
def test_the_watch_hears_whoever_pries(tmp_path: Path, way: str) -> None:
    """Otherwise its silence would prove nothing."""
    folder = tmp_path / "Fold1" / "test"
    folder.mkdir(parents=True)
    Image.new("L", (2, 2)).save(folder / "1.png")
    cached = tmp_path / "Fold1-test-32-ab.npy"
    np.save(cached, np.zeros(2))
    watch(tmp_path / "log", "somebody")
    {
        "listdir": lambda: os.listdir(folder),  # noqa: PTH208
        "scandir": lambda: list(os.scandir(folder)),
        "glob": lambda: list(folder.rglob("*")),
        "open": lambda: (folder / "1.png").read_bytes(),
        "pillow": lambda: Image.open(folder / "1.png").load(),
        "numpy": lambda: np.load(cached, mmap_mode="r"),
    }[way]()
    heard = (tmp_path / "log").read_text()
    assert heard.startswith(f"somebody {tmp_path}")
    (tmp_path / "Fold1" / "testing").mkdir()
    os.listdir(tmp_path / "Fold1" / "testing")  # noqa: PTH208
    unwatch()
    os.listdir(folder)  # noqa: PTH208
    assert (tmp_path / "log").read_text() == heard


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def test_only_the_test_evaluation_names_the_split() -> None:
    """In search and training, the word stands in no other module, but as a key of what is written."""
    found = set()
    for name, tree in modules("search", "owkd/training"):
        keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
        words = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value == "test")
        found |= {name for word in words if id(word) not in keys}
    assert found == {"search/retrain/test_evaluation.py"}


def test_who_may_read_any_split_is_known() -> None:
    """`SPLITS` and the evaluation of a checkpoint on a split of one's choice: each user of them is listed here."""
    wanted = {"SPLITS", "evaluate", "evaluate_checkpoint", "evaluate_protocols", "evaluate_model", "_evaluate_in_task"}
    users = set()
    for name, tree in modules("search", "owkd", "launch"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and wanted & {alias.name for alias in node.names}:
                users.add(name)
    assert users == {
        "launch/published/run.py",  # `owkd run`: train, validate, test, as published
        "launch/output/evaluation.py",  # `owkd evaluate`
        "owkd/data/checking/dataset.py",  # `owkd data check`: looks for people who are in two splits
        "owkd/data/checking/layout.py",
        "owkd/data/checking/people.py",
        "owkd/data/checking/pictures.py",
        "owkd/data/preparing/arrangement.py",  # these make splits
        "owkd/data/preparing/folds.py",
        "owkd/data/preparing/table.py",
        "search/retrain/test_evaluation.py",
        "search/retrain/stage.py",  # hands it to the test evaluation
    }
