"""An imported teacher whose classes are in the order of a folder's listing is not taken for one in ours."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from launch.cli import run_command
from owkd.config import Partial, Reading
from owkd.data.identity_list import class_order
from owkd.data.index import Split
from owkd.errors import CheckpointError, DataError
from owkd.models.checkpoint import IMPORTED, ModelInfo, read_info, read_state, save_state
from owkd.models.outputs import MEMBERS
from owkd.models.presets import architecture
from owkd.training.class_order import require_class_order
from owkd.training.run import run
from search.planning.mistakes import find_mistakes
from tests.support.small_training import small_config

PEOPLE = list(range(1, 13))
GRAM = {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}


def unpadded(folder: Path) -> Split:
    """Twelve people, three images each; the listing of their folders begins with 1, 10, 11, 12, 2."""
    paths = tuple(sorted(f"allcam/{person}/{image}.png" for person in PEOPLE for image in range(3)))
    return Split(folder, paths, np.array([int(path.split("/")[1]) for path in paths]))


def teacher(order: list[int], right: float, split: Split) -> dict[str, Tensor]:
    """Logits of a teacher whose classes are in this order, and who is right on a share of the images."""
    rng = np.random.default_rng(0)
    answers = np.array([order.index(person) for person in split.identities])
    wrong = rng.permutation(len(answers))[: round((1 - right) * len(answers))]
    answers[wrong] = (answers[wrong] + rng.integers(1, len(order), len(wrong))) % len(order)
    good = torch.nn.functional.one_hot(torch.from_numpy(answers), len(order)).float()
    return {member: good if member == "gce" else torch.zeros_like(good) for member in MEMBERS}


def judge(split: Split, order: list[int], right: float, origin: str, identities: tuple[int, ...] = ()) -> list[str]:
    info = ModelInfo("teacher", architecture("nano"), 32, len(PEOPLE), identities, origin)
    logits, said = teacher(order, right, split), list[str]()

    def some(sample: np.ndarray) -> dict[str, Tensor]:
        return {name: values[torch.from_numpy(sample)] for name, values in logits.items()}

    require_class_order(Path("t.safetensors"), info, split, some, said.append)
    return said


LISTING = sorted(PEOPLE, key=str)


@pytest.mark.parametrize("right", [1.0, 0.6, 0.35])
def test_a_teacher_in_our_order_is_taken(tmp_path: Path, right: float) -> None:
    assert judge(unpadded(tmp_path), PEOPLE, right, IMPORTED) == []


@pytest.mark.parametrize("right", [1.0, 0.7])
def test_the_order_of_the_listing_is_refused_and_named(tmp_path: Path, right: float) -> None:
    with pytest.raises(CheckpointError, match=r"order of the folders' names \(1, 10, 11, 12, \.\.\.\).*--identities"):
        judge(unpadded(tmp_path), LISTING, right, IMPORTED)


def test_an_order_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a list of them in the order of its training"):
        judge(unpadded(tmp_path), [5, 1, 3, 2, 12, 4, 7, 9, 6, 11, 8, 10], 1.0, IMPORTED)


def test_files_of_older_imports_are_told_of_and_trained_teachers_left_alone(tmp_path: Path) -> None:
    split = unpadded(tmp_path)
    (line,) = judge(split, LISTING, 1.0, "")
    assert "order of the folders' names" in line
    assert judge(split, LISTING, 1.0, "D/Fold1", tuple(PEOPLE)) == []
    assert judge(split, LISTING, 1.0, "", tuple(PEOPLE)) == []


def test_the_order_comes_from_a_folder_or_a_list(tmp_path: Path) -> None:
    for person in (*PEOPLE, "007"):
        (tmp_path / "train/allcam" / str(person)).mkdir(parents=True)
    assert class_order(tmp_path / "train") == [7, *LISTING]
    (tmp_path / "list.txt").write_text("3, 1\n2")
    assert class_order(tmp_path / "list.txt") == [3, 1, 2]
    (tmp_path / "train/allcam/anna").mkdir()
    with pytest.raises(DataError, match="anna"):
        class_order(tmp_path / "train")


def save_guessing(root: Path, path: Path, **description: Any) -> None:
    """The teacher of Fold1, made to name the first person whoever it sees; with another description."""
    info, state, _ = read_state(small_config(root).teacher.checkpoint_for("Fold1"))
    for member in MEMBERS:
        state[f"{member}.head.weight"] = torch.zeros_like(state[f"{member}.head.weight"])
        bias = torch.zeros(info.num_classes)
        bias[0] = 1
        state[f"{member}.head.bias"] = bias
    save_state(state, path, replace(info, **description))


def test_a_plan_names_a_teacher_that_knows_nobody_as_a_mistake(root: Path, tmp_path: Path) -> None:
    """Before anything is trained or written; one of ours is not asked."""
    path = tmp_path / "t.safetensors"
    config = small_config(root, teacher={"checkpoint": str(path)}, search={"space": {"distill.gram": GRAM}})
    reading = Reading("c.yaml", config, (), Partial(config))
    save_guessing(root, path, origin=IMPORTED, identities=())
    (mistake,) = find_mistakes(reading, tmp_path / "runs")
    assert mistake.startswith(f"{path} must know the people that it was trained on, but recognises 0 %")
    save_guessing(root, path)
    assert find_mistakes(reading, tmp_path / "runs") == []
    save_guessing(root, path, origin="", identities=())
    assert find_mistakes(reading, tmp_path / "runs") == [], "a line when it teaches, for it may be no import"


@pytest.mark.parametrize("use", ["stored", "live"])
def test_training_looks_at_an_imported_teacher(root: Path, tmp_path: Path, use: str) -> None:
    """The same file is taken where its classes are known to be ours."""
    path = tmp_path / "t.safetensors"
    settings = {"checkpoint": str(path), "targets": {"use": use, "folder": str(tmp_path / "targets")}}
    save_guessing(root, path, origin=IMPORTED, identities=())
    with pytest.raises(CheckpointError, match="recognises 0 % of training images beyond guessing"):
        run(small_config(root, teacher=settings), fold="Fold1", directory=tmp_path / "a")
    save_guessing(root, path)
    run(small_config(root, teacher=settings, train={"epochs": 1}), fold="Fold1", directory=tmp_path / "b")


def test_an_import_brings_classes_into_our_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The files of a small published form, each row of whose classifier says which class it is."""
    from tests.models.test_published_files import CLASSES, hollow

    given = []
    for network in ("original", "attention", "gce"):
        state = hollow(network)
        rows = [name for name, tensor in state.items() if tensor.shape[:1] == (CLASSES,)]
        assert len(rows) == 2, rows
        for name in rows:
            place = torch.arange(CLASSES).reshape(-1, *[1] * (state[name].ndim - 1))
            state[name] = place.expand(state[name].shape).float().clone()
        torch.save(state, tmp_path / f"{network}.pth")
        given += [f"--{network}", str(tmp_path / f"{network}.pth")]
    (tmp_path / "order.txt").write_text("1 10 2 30 4")
    command = ["teacher", "import", *given, "--out", str(tmp_path / "t.safetensors"), "--image-size", "64"]
    assert run_command([*command, "--identities", str(tmp_path / "order.txt")]) == 0
    info, state, _ = read_state(tmp_path / "t.safetensors")
    assert (info.identities, info.origin) == ((1, 2, 4, 10, 30), IMPORTED)
    for member in MEMBERS:
        assert state[f"{member}.head.bias"].tolist() == [0, 2, 4, 1, 3]
        assert state[f"{member}.head.weight"][:, 0].tolist() == [0, 2, 4, 1, 3]
    (tmp_path / "t.safetensors").unlink()
    for text, words in (("1 2 3", "name the 5 people"), ("1 2 3 4 4", "each person once")):
        (tmp_path / "order.txt").write_text(text)
        assert run_command([*command, "--identities", str(tmp_path / "order.txt")]) == 2
        assert words in capfd.readouterr().err
    assert run_command([*command, "--window", "5991,7745"]) == 0
    assert read_info(tmp_path / "t.safetensors").window == (5991.0, 7745.0)
    (tmp_path / "t.safetensors").unlink()
    assert run_command(command) == 0
    assert "--identities says it" in " ".join(capfd.readouterr().out.split())
    assert read_info(tmp_path / "t.safetensors").identities == ()
