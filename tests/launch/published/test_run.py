"""`owkd run`, the published command line: all three kinds of result for both folds, and numbers that can be trusted."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from launch.cli import run_command
from launch.published import run as published
from launch.published.run import Request, configured
from owkd.data.synthetic import write_dataset
from owkd.errors import UserError
from owkd.evaluation import evaluate as evaluation
from owkd.models.checkpoint import load_model
from tests.support.slow_evaluation import evaluate

pytestmark = pytest.mark.numeric

DBPERSON, SYSU = "DBPerson-Recog-DB1_thermal", "SYSU-MM01_thermal"
FOLDS = ("Fold1", "Fold2")
SMALL = ("--numEpoch", "1", "--preset", "nano", "--image-size", "32", "--device", "cpu")
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same 16 people under each of the two published names."""
    folder = tmp_path_factory.mktemp("published")
    for name in (DBPERSON, SYSU):
        write_dataset(folder, identities=16, images=4, size=32, dataset=name)
    return folder


@pytest.fixture(scope="module")
def teachers(root: Path) -> Path:
    """Teachers of both folds, as the command line itself trains them."""
    out = root / "teacher-run"
    arguments = ("--DBPath", str(root), "--inputDB", SYSU, "--modelType", "teacher", "--out", str(out))
    assert run_command(["run", *arguments, *SMALL]) == 0
    folder = root / "teachers"
    folder.mkdir()
    for fold in FOLDS:
        shutil.copy(out / fold / "train" / "best.safetensors", folder / f"{fold}.safetensors")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def embedded(checkpoint: Path, split: Path) -> tuple[list[list[float]], list[int]]:
    """Embeddings and identities of a folder of images, by nothing but Pillow and the model's file."""
    files = sorted(split.rglob("*.png"))
    assert len(files) in (16, 32)
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    with torch.no_grad():
        embeddings = load_model(checkpoint)[0].embed(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    return embeddings.double().tolist(), [int(file.parent.name) for file in files]


def assert_test_files_are_right(out: Path, data: Path, fold: str, protocols: tuple[str, ...]) -> None:
    folder = out / fold / "test"
    written = json.loads((folder / "metrics.json").read_text())
    assert written["published_protocol"] == protocols[0]
    assert tuple(written["protocols"]) == protocols
    cmc, people = rows(folder / "cmc.csv"), rows(folder / "per_identity_ap.csv")
    embeddings, identities = embedded(out / fold / "train" / "best.safetensors", data / fold / "test")
    for protocol in protocols:
        expected = evaluate(embeddings, identities, protocol)
        values = written["protocols"][protocol]
        assert values["mAP"] == pytest.approx(sum(expected.average_precision) / len(expected.average_precision))
        assert [values[f"rank-{rank}"] for rank in range(1, 21)] == pytest.approx(expected.cmc)
        assert values["mINP"] == pytest.approx(expected.mean_inverse_negative_penalty)
        assert (values["queries"], values["skipped"]) == (len(expected.average_precision), 0)
        assert [float(row[protocol]) for row in cmc] == pytest.approx(expected.cmc)
        by_person = {
            person: [
                ap for who, ap in zip(expected.identities, expected.average_precision, strict=True) if who == person
            ]
            for person in sorted(set(identities))
        }
        listed = {int(row["identity"]): row for row in people if row["protocol"] == protocol}
        assert list(listed) == list(by_person)
        for person, aps in by_person.items():
            assert int(listed[person]["queries"]) == len(aps)
            assert float(listed[person]["average_precision"]) == pytest.approx(sum(aps) / len(aps))
    for figure in ("cmc.png", "precision_recall.png"):
        assert (folder / figure).read_bytes().startswith(PNG)


def assert_validation_files_are_right(out: Path, data: Path, fold: str) -> None:
    folder = out / fold / "validation"
    (epoch,) = rows(folder / "history.csv")
    embeddings, identities = embedded(out / fold / "train" / "best.safetensors", data / fold / "validation")
    expected = evaluate(embeddings, identities, "standard")
    assert epoch["epoch"] == "1"
    assert float(epoch["val/mAP"]) == pytest.approx(sum(expected.average_precision) / len(identities))
    assert float(epoch["val/rank-1"]) == pytest.approx(expected.cmc[0])
    assert float(epoch["loss/total"]) > 0
    best = json.loads((folder / "best.json").read_text())
    assert best["epoch"] == 1
    assert best["val/mAP"] == float(epoch["val/mAP"])
    for figure in ("accuracy.png", "loss.png"):
        assert (folder / figure).read_bytes().startswith(PNG)


def assert_summary_is_right(out: Path, protocols: tuple[str, ...]) -> None:
    table = {(row["protocol"], row["fold"]): row for row in rows(out / "results.csv")}
    assert list(table) == [(protocol, fold) for protocol in protocols for fold in (*FOLDS, "mean")]
    for protocol in protocols:
        folds = [
            json.loads((out / fold / "test" / "metrics.json").read_text())["protocols"][protocol] for fold in FOLDS
        ]
        for name in ("mAP", "rank-1", "rank-20", "mINP"):
            assert [float(table[protocol, fold][name]) for fold in FOLDS] == [values[name] for values in folds]
            assert float(table[protocol, "mean"][name]) == pytest.approx(sum(values[name] for values in folds) / 2)


@pytest.mark.parametrize(
    ("dataset", "flag", "protocols"),
    [(DBPERSON, "--DBpath", ("merged", "standard")), (SYSU, "--DBPath", ("center", "standard"))],
)
def test_training_validation_and_test_of_both_folds(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    dataset: str,
    flag: str,
    protocols: tuple[str, ...],
) -> None:
    out = tmp_path / "out"
    arguments = ["run", flag, str(root), "--Fold", "Fold1,Fold2", "--inputDB", dataset, "--out", str(out), *SMALL]
    assert run_command(arguments) == 0
    printed = capsys.readouterr().out
    for fold in FOLDS:
        assert f"{fold}: no --teacher, so its teacher is trained first" in printed
        assert load_model(out / fold / "teacher" / "teacher.safetensors")[1].role == "teacher"
        assert load_model(out / fold / "train" / "best.safetensors")[1].role == "student"
        assert [row["phase"] for row in rows(out / fold / "teacher" / "history.csv")] == ["backbones", "gce"]
        assert_validation_files_are_right(out, root / dataset, fold)
        assert_test_files_are_right(out, root / dataset, fold, protocols)
    assert_summary_is_right(out, protocols)
    means = [row for row in rows(out / "results.csv") if row["fold"] == "mean"]
    for row in means:
        assert any("mean" in line and f"{100 * float(row['mAP']):.2f}" in line for line in printed.splitlines())

    kept = (out / "results.csv").read_bytes()
    assert run_command(arguments) == 0
    again = capsys.readouterr().out
    assert "teacher of Fold1: trained in an earlier call" in again
    assert again.count("(from checkpoint)") == 2
    assert (out / "results.csv").read_bytes() == kept


def test_a_folder_of_teachers_and_one_fold_after_the_other(
    root: Path, teachers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch sizes reach the embedding, `{fold}` and a folder name the same teachers, the table gathers all folds."""
    sizes: list[int] = []

    def watched(*args: Any, **kwargs: Any) -> Any:
        sizes.append(kwargs["batch_size"])
        return evaluate_protocols(*args, **kwargs)

    evaluate_protocols = evaluation.evaluate_protocols
    monkeypatch.setattr(published, "evaluate_protocols", watched)
    out = tmp_path / "out"
    common = ["run", "--DBpath", str(root), "--inputDB", SYSU, "--out", str(out), *SMALL, "--valBatchSize", "3"]
    assert run_command([*common, "--Fold", "Fold1", "--testBatchSize", "5", "--teacher", str(teachers)]) == 0
    assert [row["fold"] for row in rows(out / "results.csv")] == ["Fold1", "mean"] * 2
    pattern = str(teachers / "{fold}.safetensors")
    assert run_command([*common, "--Fold", " Fold2", "--modelType", "student", "--teacher", pattern]) == 0
    assert [row["fold"] for row in rows(out / "results.csv")] == [*FOLDS, "mean"] * 2
    assert sizes == [5, 256]
    for fold in FOLDS:
        assert not (out / fold / "teacher").exists()
        assert_test_files_are_right(out, root / SYSU, fold, ("center", "standard"))


def test_a_teacher_is_a_model_like_any_other(root: Path, teachers: Path) -> None:
    out = root / "teacher-run"
    assert teachers.is_dir()
    for fold in FOLDS:
        assert load_model(out / fold / "train" / "best.safetensors")[1].role == "teacher"
        assert_test_files_are_right(out, root / SYSU, fold, ("center", "standard"))
        history = rows(out / fold / "validation" / "history.csv")
        assert [row["phase"] for row in history] == ["backbones", "gce"]
        best = json.loads((out / fold / "validation" / "best.json").read_text())
        assert best["epoch"] == 2
        assert best["val/mAP"] == float(history[1]["val/mAP"])
        for name in ("accuracy", "loss", "accuracy-backbones", "loss-backbones"):
            assert (out / fold / "validation" / f"{name}.png").read_bytes().startswith(PNG)
    assert_summary_is_right(out, ("center", "standard"))


def test_left_out_values_are_the_published_ones() -> None:
    """The teacher's two stages and the student's training, number by number."""
    student = configured(Request(Path("root"), "Fold1,Fold2", DBPERSON, "student"))
    assert student.data.folds == FOLDS
    assert student.data.image_size == 224
    assert (student.student.preset, student.student.init) == ("micro", "imagenet")
    train = student.train
    assert (train.epochs, train.batch_size) == (30, 8)
    assert (train.learning_rate, train.weight_decay) == (1e-4, 1e-5)
    assert (train.gce_learning_rate, train.gce_weight_decay) == (1e-3, 1e-3)
    for config in (student, configured(Request(Path("root"), "Fold1", SYSU, "teacher"))):
        teacher = config.teacher
        assert (teacher.preset, teacher.init, teacher.schedule) == ("small", "imagenet", "two_stage")
        backbones, gce = (
            (stage.epochs, stage.learning_rate, stage.weight_decay, stage.batch_size)
            for stage in (teacher.backbones, teacher.gce)
        )
        assert backbones == (30, 1e-4, 1e-5, 8)
        assert gce == (30, 1e-4, 1e-6, 12)


def test_values_go_to_the_model_that_is_named() -> None:
    given: dict[str, Any] = {
        "epochs": 4,
        "learning_rate": 0.1,
        "weight_decay": 0.2,
        "batch_size": 6,
        "gce_learning_rate": 0.3,
        "gce_weight_decay": 0.4,
        "validation_batch_size": 3,
    }
    student = configured(Request(Path("root"), "Fold1", SYSU, "student", **given))
    assert student.train.model_dump(include=set(given)) == given
    assert student.teacher.backbones.model_dump() == {
        "epochs": 4,
        "learning_rate": 1e-4,
        "weight_decay": 1e-5,
        "batch_size": 8,
    }
    teacher = configured(Request(Path("root"), "Fold1", SYSU, "teacher", **given))
    assert teacher.train.validation_batch_size == 3
    assert teacher.teacher.backbones.model_dump() == {
        "epochs": 4,
        "learning_rate": 0.1,
        "weight_decay": 0.2,
        "batch_size": 6,
    }
    assert teacher.teacher.gce.model_dump() == {
        "epochs": 4,
        "learning_rate": 0.3,
        "weight_decay": 0.4,
        "batch_size": 6,
    }


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--Fold", "Fold1,Fold3"], "the fold 'Fold3' must be in"),
        (["--Fold", ","], "data.folds"),
        (["--modelType", "teacher", "--teacher", "x"], "--teacher names what a student learns from"),
        (["--teacher", "x"], "teacher.checkpoint must hold {fold}"),
        (["--teacher", "{fold}.nothing"], "no such checkpoint: Fold1.nothing"),
        (["--trainBatchSize", "7"], "--trainBatchSize must be a multiple of 2"),
        (["--trainBatchSize", "2"], "--trainBatchSize must be at least 4"),
        (["--image-size", "40"], "--image-size must be a multiple of 16 for these networks, but got 40; give 32"),
        (["--init", "imagenet"], "init must be random for preset nano"),
        (["--inputDB", "SYSU"], "--inputDB"),
        (["--modelType", "original"], "--modelType"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    out = tmp_path / "out"
    assert run_command(["run", "--DBpath", str(root), "--inputDB", SYSU, "--out", str(out), *SMALL, *extra]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("owkd:") == 1
    assert not out.exists()


def test_the_published_start_without_a_network_names_the_file_to_fetch(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    out = tmp_path / "out"
    arguments = ["run", "--DBpath", str(root), "--inputDB", SYSU, "--out", str(out), "--image-size", "32"]
    assert run_command(arguments) == 2
    assert "convnext_tiny_1k_224_ema.pth" in capsys.readouterr().err
    assert not out.exists()


def test_other_settings_need_another_folder(root: Path, teachers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert teachers.is_dir()
    arguments = ["run", "--DBpath", str(root), "--inputDB", SYSU, "--modelType", "teacher", *SMALL, "--lr", "0.5"]
    assert run_command([*arguments, "--out", str(root / "teacher-run")]) == 2
    assert "differs in teacher.backbones.learning_rate" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "a: 2024-13-45", "[" * 5000], ids=range(5))
def test_damaged_settings_of_an_earlier_call_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml must hold the settings .* name another --out"):
        published._settings_before(path)
