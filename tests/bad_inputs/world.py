"""What a case starts from: `search.yaml`, and the parts that it asks for.

data      data/Synthetic_thermal: 16 people in two folds, 32 pixels
teacher   teacher-Fold1.safetensors
student   student.safetensors
run       runs/small: two trials and a final stage, over
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from rich.console import Console

from owkd.config import Config, parse_config
from owkd.data.synthetic import write_dataset
from owkd.training.run import run as train_part
from owkd.training.teacher import train_teacher
from search.execution.resources import TrialResources
from search.execution.worker import train_student
from search.recorder import SearchRecorder
from search.retrain.stage import FinalWork, retrain
from search.retrain.test_evaluation import evaluate_model
from search.runs.inputs import check_inputs
from search.runs.manifest import create
from search.study.study import Study
from tests.bad_inputs.cases import Case
from tests.support.inline_jobs import evaluate_here, work_off

CONFIG: dict[str, Any] = {
    "name": "small",
    "data": {"root": "data", "dataset": "Synthetic_thermal", "folds": ["Fold1"], "image_size": 32},
    "teacher": {
        "checkpoint": "teacher-{fold}.safetensors",
        "preset": "nano",
        "schedule": "joint",
        "backbones": {"epochs": 1, "batch_size": 8},
    },
    "student": {"preset": "nano"},
    "train": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "device": "cpu", "threads": 1},
    "search": {
        "trials": 3,
        "sampler": {"name": "random", "seed": 0},
        "scheduler": {"name": "none"},
        "space": {"distill.logit": {"type": "float", "low": 0.001, "high": 1.0, "log": True}},
    },
    "retrain": {"top_k": 1, "seeds": 2, "control": "off"},
}
PARTS = {
    "data": ("data",),
    "teacher": ("teacher-Fold1.safetensors",),
    "student": ("student.safetensors",),
    "run": ("runs",),
}


def build_world(folder: Path) -> None:
    """Writes every part, trained for real, in this process. Paths in it are relative to it."""
    write_dataset(folder / "data", identities=16, images=4, size=32, seed=0)
    (folder / "search.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False), encoding="utf-8")
    here = Path.cwd()
    os.chdir(folder)
    try:
        config = parse_config(CONFIG)
        train_teacher(config, lambda epoch: None, fold="Fold1", out=config.teacher.checkpoint_for("Fold1"))
        student = train_part(config, fold="Fold1", directory=folder / "training")
        shutil.copy(student.checkpoint, folder / "student.safetensors")
        shutil.rmtree(folder / "training")
        _write_run(folder / "runs" / "small", config)
    finally:
        os.chdir(here)


def _write_run(root: Path, config: Config) -> None:
    run = create(root, config, check_inputs(config))
    recorder = SearchRecorder(run, config, Study(run.journal, run.name, config))
    work_off(recorder, train=train_student)
    recorder.close()
    work = FinalWork(train_student, evaluate_model, lambda config, console: (config, TrialResources(1, 0, 1)))
    with (
        mock.patch("search.retrain.models.training.run_jobs", work_off),
        mock.patch("search.retrain.stage.evaluate_on_test", evaluate_here),
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
    ):
        retrain(root, connect=nullcontext, console=Console(file=nowhere), work=work)


def prepare(case: Case, world: Path, place: Path) -> None:
    """Lays out what a case starts from."""
    for source in (path for part in case.parts for path in PARTS[part]):
        copy = shutil.copytree if (world / source).is_dir() else shutil.copy
        copy(world / source, place / source)
    (place / "search.yaml").write_text(yaml.safe_dump(_changed(case.change), sort_keys=False), encoding="utf-8")
    for name, content in case.files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_bytes(content))
    for pattern, how in case.damage.items():
        found = sorted(place.glob(pattern))
        if not found:
            raise ValueError(f"{case.name}: there is no {pattern} to damage")
        for path in found:
            damage(path, how)


def damage(path: Path, how: str | Mapping[str, str]) -> None:
    """Does to a file what happens to files."""
    if how in ("remove", "folder"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if how == "folder":
            path.mkdir()
        return
    before = path.read_bytes()
    if isinstance(how, Mapping):
        old, new = how["text"].encode(), how["by"].encode()
        if old not in before:
            raise ValueError(f"{path} does not hold {how['text']!r}")
        path.write_bytes(before.replace(old, new))
        return
    middle = len(before) // 2
    path.write_bytes(
        {
            "flip": before[:middle] + bytes([before[middle] ^ 0xFF]) + before[middle + 1 :],
            "cut": before[:middle],
            "empty": b"",
            "zero": bytes(len(before)),
        }[how]
    )


def _bytes(content: Any) -> bytes:
    if isinstance(content, Mapping):
        if "hex" in content:
            return bytes.fromhex(content["hex"])
        return str(content["repeat"]).encode() * int(content["times"])
    return str(content).encode()


def _changed(change: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(yaml.safe_dump(CONFIG))
    for path, value in change.items():
        *sections, last = path.split("/") if "/" in path else path.split(".")
        section = tree
        for name in sections:
            section = section.setdefault(name, {})
        if value is None:
            section.pop(last, None)
        else:
            section[last] = value
    return tree
