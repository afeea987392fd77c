"""`owkd distill RUN#N`: a trial of a run comes out again bit for bit, and a number that does not is named."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from launch.cli import run_command
from launch.train import train_students
from owkd.config import Config
from owkd.training.reduction import EpochRule
from search.execution.worker import train_student, work
from search.luck import Seeds
from search.recorder import SearchRecorder
from search.rerun import NOT_COMPARED
from search.results.tables import read_epochs
from search.runs.inputs import check_inputs
from search.runs.manifest import create
from search.study.study import Study
from search.trials.job import Message
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

SPACE = {
    "distill.teacher_weights": {"type": "simplex"},
    "distill.stage_weights": {"type": "simplex"},
    "distill.logit": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
    "train.images_per_identity": {"type": "categorical", "choices": [2, 4]},
    "student.depths": {"type": "categorical", "choices": [[1, 1, 1, 1], [1, 1, 2, 1]]},
    "distill.temperature": {"type": "fixed", "value": 2.0},
}
STOPPED = 2
"""the trial that ends as a scheduler ends one, after an epoch"""
SECOND_LOOK = 3
"""the trial that has the values of the stopped one"""


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four trials over two seeds, of real training, by the recorder of a search; the jobs run in this process."""
    config = small_config(
        root,
        search={
            "trials": 4,
            "seeds": [3, 4],
            "race": False,
            "scheduler": {"name": "none"},
            "resources": {"cpu": 1, "gpu": 0},
            "sampler": {"name": "random", "seed": 5},
            "space": SPACE,
        },
    )
    folder = create(tmp_path_factory.mktemp("runs") / "tiny", config, check_inputs(config))
    recorder = SearchRecorder(folder, config, Study(folder.journal, folder.name, config))
    while (job := recorder.next_job()) is not None:
        sent: list[Message] = []

        def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)
            recorder.message_received(message)
            if message.key == f"trial-{STOPPED:05d}":
                raise KeyboardInterrupt

        recorder.job_started(job.key)
        try:
            work(asdict(job), train=train_student, send=send)
        except KeyboardInterrupt:
            assert len(sent) == 1
        recorder.job_stopped(job.key, sent[-1])
        if job.key == f"trial-{STOPPED:05d}":
            recorder.study._study.enqueue_trial(recorder.study._frozen()[STOPPED].params)
    recorder.event_files.close()
    return folder.root


def files_of(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("number", "epochs", "seed"), [(0, 4, 3), (STOPPED, 1, 3), (SECOND_LOOK, 4, Seeds(0, (3, 4)).search(3)[2])]
)
def test_a_trial_comes_out_again_bit_for_bit(
    run: Path,
    tmp_path: Path,
    number: int,
    epochs: int,
    seed: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = files_of(run)
    monkeypatch.chdir(tmp_path)
    assert run_command(["distill", f"{run}#{number}"]) == 0
    printed = capsys.readouterr().out
    assert f"of {epochs} epochs are those of trial {number} of {run}, bit for bit" in printed
    assert len([line for line in printed.splitlines() if line.startswith(f"trial {number} Fold1 seed ")]) == epochs
    assert (tmp_path / "reruns" / "tiny" / f"trial-{number:05d}" / f"seed-{seed}" / "Fold1" / "last.pt").is_file()
    assert files_of(run) == before


@pytest.fixture(scope="module")
def again(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished rerun of trial 1."""
    out = tmp_path_factory.mktemp("again")
    assert run_command(["distill", f"{run}#1", "--out", str(out)]) == 0
    return out


def test_a_rerun_that_was_stopped_goes_on_and_says_so(
    run: Path, again: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["distill", f"{run}#1", "--out", str(again)]) == 0
    printed = capsys.readouterr().out
    assert f"4 epochs came from checkpoints in {again}" in printed
    assert "of 4 epochs are those of trial 1" in printed


def test_the_first_number_that_differs_is_named(
    run: Path, again: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(results: Path) -> pa.Table:
        table = read_epochs(results)
        last = pc.and_(pc.equal(table["step"], 4), pc.equal(table["trial"], 1))
        for name, by in (("duration_s", 60.0), ("val/mAP", 1e-9)):
            column = pc.if_else(last, pc.add(table[name], by), table[name])
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    monkeypatch.setattr("search.rerun.read_epochs", altered)
    assert run_command(["distill", f"{run}#1", "--out", str(again)]) == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert "was not reproduced: Fold1, seed 4, epoch 2: val/mAP was" in printed


def test_what_a_clock_says_is_all_that_is_left_out(run: Path) -> None:
    metrics = {name for name in read_epochs(run / "results").column_names if "/" in name or name in NOT_COMPARED}
    assert metrics & set(NOT_COMPARED) == {"duration_s", "images_per_second", "gpu_memory_peak_bytes"}
    assert {"val/mAP", "loss/total", "stage_weight/1"} <= metrics - set(NOT_COMPARED)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{run}#7"], "a trial must be one of the 4 of"),
        (["{run}x#1"], "a run must hold run.yaml"),
        (["{run}#1", "--set", "train.epochs=1"], "a trial must be rerun as it was, but got --set train.epochs=1"),
        (["{run}#one"], "no such file"),
    ],
)
def test_what_cannot_be_rerun_is_refused(
    run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["distill", *(argument.format(run=run) for argument in arguments)]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_teacher_that_is_not_the_runs_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.runs.inputs._sha256", lambda path: "another")
    assert run_command(["distill", f"{run}#1", "--out", str(tmp_path)]) == 2
    assert "but these changed: teacher.Fold1" in " ".join(capsys.readouterr().err.split())


def test_a_single_student_keeps_the_epoch_that_a_search_would_keep(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    class AskedError(Exception):
        pass

    def training(config: Config, report: object, **given: object) -> None:
        asked.update(given)
        raise AskedError

    monkeypatch.setattr("owkd.training.run.run", training)
    search = {"objectives": [{"metric": "val/mINP"}], "constraints": ["flops <= 1e12"]}
    with pytest.raises(AskedError):
        train_students(small_config(root, search=search), tmp_path)
    assert (asked["keep"], asked["costs"]) == (EpochRule("val/mINP", "auto"), ("flops",))
