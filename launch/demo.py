"""The whole story on a synthetic data set: data, teacher, search, final retrain, and where everything lies."""

import os
from importlib.resources import files
from pathlib import Path

import yaml
from rich.rule import Rule

from launch.console import console
from launch.local import run_retrain, run_search
from launch.train import teachers
from owkd.config import load_config
from owkd.data.synthetic import write_dataset
from owkd.errors import UserError

IDENTITIES = 60
IMAGES = 12
SEED = 0


def run_demo(out: Path) -> None:
    """Runs everything under `out`. Raises `UserError` when `out` holds anything already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out must be a new or an empty folder, but {out} is not; do remove it or name another one")
    out.mkdir(parents=True, exist_ok=True)
    config_file = _write_config(out)
    config = load_config(config_file)

    _chapter("1/4  Data: thermal-looking pedestrians, written as PNG files")
    dataset = write_dataset(config.data.root, identities=IDENTITIES, images=IMAGES, size=64, seed=SEED)
    console.print(f"{IDENTITIES} people x {IMAGES} images: {dataset}", soft_wrap=True)

    _chapter("2/4  Teacher: the WSE-Net ensemble")
    assert config.teacher.checkpoint is not None
    teachers(config, config.teacher.checkpoint)

    _chapter("3/4  Search: every trial distils a student; Optuna proposes the weights")
    run = run_search(config, out / "runs")

    _chapter("4/4  Final stage: the best configuration beside two baselines; the test split is opened here")
    run_retrain(run)
    _where(out, config_file, run)


def _write_config(out: Path) -> Path:
    """The embedded configuration with its paths under `out`, so that every later command can use it as it is."""
    raw = yaml.safe_load(files("launch").joinpath("demo.yaml").read_text(encoding="utf-8"))
    raw["data"]["root"] = str(out / raw["data"]["root"])
    raw["teacher"]["checkpoint"] = str(out / raw["teacher"]["checkpoint"])
    path = out / "demo.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


def _chapter(title: str) -> None:
    console.print()
    console.print(Rule(title, align="left", style="cyan"))


def _where(out: Path, config_file: Path, run: Path) -> None:
    console.print()
    console.print(Rule("Where everything lies", align="left", style="cyan"))
    for what, where in (
        ("configuration", config_file),
        ("run", run),
        ("tables (Parquet)", run / "results"),
        ("champion", run / "retrain" / "champion"),
    ):
        console.print(f"{what:<18}{os.fspath(where)}", soft_wrap=True)
    console.print()
    console.print(f"List the trials:   owkd trials {run}", soft_wrap=True)
    console.print(f"Watch the curves:  owkd monitor {run}", soft_wrap=True)
    console.print(f"Go further:        owkd resume {run} --trials 12", soft_wrap=True)
