"""The whole story on a synthetic data set: data, teacher, search, final retrain, and where everything is."""

import os
from importlib.resources import files
from pathlib import Path

import yaml
from rich.rule import Rule

from launch.configuration import load_checked
from launch.driver import run_resume, run_retrain, run_search
from launch.output.console import console
from launch.output.summary import print_next_commands
from launch.train import train_teachers
from owkd.data.synthetic import write_dataset
from owkd.errors import UserError
from owkd.files import require_writable, written_whole

IDENTITIES = 120
IMAGES = 6


def run_demo(out: Path, seed: int = 0) -> None:
    """Runs everything under `out`, or continues what an earlier call began there.

    `seed` draws the people, and is the root of every other seed: teacher, search, choice and test.
    Raises `UserError` when `out` holds something else.
    """
    config_file = _write_config(out, seed)
    config = load_checked(config_file)

    _print_heading("1/4  Data: thermal-looking pedestrians, written as PNG files")
    dataset = config.data.root / config.data.dataset
    if not dataset.exists():
        write_dataset(config.data.root, identities=IDENTITIES, images=IMAGES, size=config.data.image_size, seed=seed)
    console.print(f"{IDENTITIES} people x {IMAGES} images: {dataset}", soft_wrap=True)

    _print_heading("2/4  Teacher: the WSE-Net ensemble")
    teacher = config.teacher.checkpoint_for(config.data.folds[0])
    if teacher.exists():
        console.print(f"trained already: {teacher}", soft_wrap=True)
    else:
        train_teachers(config, str(teacher))

    _print_heading("3/4  Search: every trial distils a student; Optuna proposes the weights")
    run = out / "runs" / config.name
    if run.exists():
        run_resume(run)
    else:
        run_search(config, run.parent)

    _print_heading("4/4  Final stage: the best beside two baselines, on the test split")
    run_retrain(run)
    _print_places(config_file, run)


def _write_config(out: Path, seed: int) -> Path:
    """The embedded configuration, paths under `out` and the seed in it, so that every later command can use it."""
    path = out / "demo.yaml"
    raw = yaml.safe_load(files("launch").joinpath("demo.yaml").read_text(encoding="utf-8"))
    raw["data"]["root"] = str(out / raw["data"]["root"])
    raw["teacher"]["checkpoint"] = str(out / raw["teacher"]["checkpoint"])
    raw["train"]["seed"] = raw["search"]["sampler"]["seed"] = seed
    text = yaml.safe_dump(raw, sort_keys=False)
    require_writable(path)
    occupied = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if occupied and not (path.is_file() and path.read_text(encoding="utf-8") == text):
        raise UserError(
            f"--out must be a new folder, or that of an earlier demo of this version, but {out} is neither; "
            "remove it or name another one"
        )
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _print_heading(title: str) -> None:
    console.print()
    console.print(Rule(title, align="left", style="cyan"))


def _print_places(config_file: Path, run: Path) -> None:
    console.print()
    console.print(Rule("Where everything is", align="left", style="cyan"))
    for name, place in (
        ("configuration", config_file),
        ("run", run),
        ("tables (Parquet)", run / "results"),
        ("champion", run / "retrain" / "champion"),
    ):
        console.print(f"{name:<18}{os.fspath(place)}", soft_wrap=True)
    console.print()
    print_next_commands(
        {
            f"report {run}": "one page of results",
            f"trials {run}": "the trials as a table",
            f"monitor {run}": "curves in TensorBoard",
            f"resume {run} --trials 8": "go further",
        }
    )
