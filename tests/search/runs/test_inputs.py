"""What a search depends on is checked before anything is written, and everything wrong is reported at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from owkd.config import Preset, parse_config
from owkd.data.synthetic import DATASET, write_dataset
from owkd.errors import ConfigError
from owkd.models.checkpoint import save_model
from owkd.models.presets import architecture
from owkd.models.wse import WseNet
from search.runs.inputs import anchored, check_inputs, differences

SPACE = {"distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_dataset(root, identities=16, images=4, size=64)
    return root


def save_teacher(path: Path, classes: int, preset: Preset = "nano") -> None:
    torch.manual_seed(0)
    save_model(WseNet(architecture(preset), classes, 64, "teacher"), path)


def classes_of(data: Path, fold: str = "Fold1") -> int:
    return len(list((data / DATASET / fold / "train" / "allcam").iterdir()))


def config_of(root: Path, tmp_path: Path, **sections):
    tree: dict[str, Any] = {
        "data": {"root": str(root), "dataset": DATASET, "image_size": 64},
        "teacher": {"checkpoint": str(tmp_path / "teacher-{fold}.safetensors")},
        "student": {"preset": "nano"},
        "search": {"space": SPACE},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values}
    return parse_config(tree)


def test_sound_inputs_have_fingerprints_that_follow_their_content(data: Path, tmp_path: Path) -> None:
    save_teacher(tmp_path / "teacher-Fold1.safetensors", classes_of(data))
    config = config_of(data, tmp_path)
    prints = check_inputs(config)
    assert prints["data"]["Fold1"].keys() == {"train", "validation"}
    assert len(prints["teacher"]["Fold1"]) == 64
    assert differences(prints, check_inputs(config)) == []
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    next((copy / DATASET / "Fold1" / "train" / "allcam").rglob("*.png")).unlink()
    changed = check_inputs(config_of(copy, tmp_path))
    assert differences(prints, changed) == ["data.Fold1.train"]


def test_the_test_split_stays_closed(data: Path, tmp_path: Path) -> None:
    save_teacher(tmp_path / "teacher-Fold1.safetensors", classes_of(data))
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    shutil.rmtree(copy / DATASET / "Fold1" / "test")
    check_inputs(config_of(copy, tmp_path))


def test_everything_that_is_wrong_is_said_at_once(data: Path, tmp_path: Path) -> None:
    save_teacher(tmp_path / "teacher-Fold1.safetensors", classes_of(data) + 1)
    config = config_of(data, tmp_path, data={"folds": ["Fold1", "Fold2", "Fold9"]})
    with pytest.raises(ConfigError) as refused:
        check_inputs(config)
    knows, no_teacher, no_fold, nor_its_teacher = refused.value.problems
    assert "cannot teach here: it knows" in knows
    assert no_teacher.startswith(f"no such checkpoint: {tmp_path}/teacher-Fold2")
    assert no_fold.startswith("the fold 'Fold9' must be in")
    assert nor_its_teacher.startswith(f"no such checkpoint: {tmp_path}/teacher-Fold9")


def test_a_search_without_a_teacher_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher.checkpoint must name a file"):
        check_inputs(config_of(data, tmp_path, teacher={"checkpoint": None}))


def test_a_teacher_of_other_sizes_is_refused(data: Path, tmp_path: Path) -> None:
    save_teacher(tmp_path / "teacher-Fold1.safetensors", classes_of(data))
    with pytest.raises(ConfigError, match="its channels must be those that the student meets"):
        check_inputs(config_of(data, tmp_path, student={"preset": "micro"}))


def test_paths_are_made_absolute_and_the_run_gives_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = parse_config(
        {
            "data": {"root": "data", "dataset": "s", "cache": "cache"},
            "teacher": {"checkpoint": "teachers/{fold}.safetensors", "targets": {"folder": "targets"}},
            "search": {"space": SPACE, "warm_start": "runs/before"},
        }
    )
    found = anchored(config, "mine", trials=7)
    assert (found.name, found.search.trials) == ("mine", 7)
    assert (found.data.root, found.data.cache) == (tmp_path / "data", tmp_path / "cache")
    assert found.teacher.checkpoint_for("Fold1") == tmp_path / "teachers" / "Fold1.safetensors"
    assert found.teacher.targets.folder == tmp_path / "targets"
    assert found.search.warm_start == str(tmp_path / "runs" / "before")


def test_an_address_stays_as_it_is_but_for_a_local_one(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"data": {"root": "/data", "dataset": "s"}, "search": {"space": SPACE}}

    def warm_start_of(address: str) -> str | None:
        search = {**sections["search"], "warm_start": address}
        return anchored(parse_config({**sections, "search": search}), "mine").search.warm_start

    assert warm_start_of("s3://bucket/runs/before") == "s3://bucket/runs/before"
    assert warm_start_of(f"file://{tmp_path}/before") == f"{tmp_path}/before"


def test_a_missing_imagenet_start_is_found_before_the_search(tmp_path: Path) -> None:
    raw = {
        "data": {"root": str(tmp_path), "dataset": "none", "image_size": 32},
        "student": {"preset": "micro", "init": "imagenet", "init_file": "no/such.pth"},
    }
    with pytest.raises(ConfigError, match=r"no/such\.pth"):
        check_inputs(parse_config(raw))


def test_every_student_that_may_be_proposed_must_fit_the_teacher(data: Path, tmp_path: Path) -> None:
    save_teacher(tmp_path / "teacher-Fold1.safetensors", classes_of(data))
    depths = {"type": "categorical", "choices": [[1, 1, 1, 1], [2, 1, 3, 1]]}
    fitting = config_of(data, tmp_path, search={"space": {"student.depths": depths}})
    assert check_inputs(fitting)["teacher"].keys() == {"Fold1"}
    preset = {"type": "categorical", "choices": ["nano", "micro"]}
    config = config_of(data, tmp_path, search={"space": {"student.preset": preset, **SPACE}})
    with pytest.raises(ConfigError) as caught:
        check_inputs(config)
    (problem,) = caught.value.problems
    assert "cannot teach every student" in problem
    assert "search.space would propose student.preset 'micro', which meets (96, 192, 384, 768)" in problem
