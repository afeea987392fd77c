"""What is known of a teacher before any trial: its figures, and the lead that its training left in its file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from launch.output.plan import page
from launch.train import train_teachers
from owkd.config import Config
from owkd.errors import UserError
from owkd.models.checkpoint import load_model, read_info, record_against_student
from owkd.models.outputs import MEMBERS
from owkd.training.members import validate_members
from owkd.training.prepare import open_fold, validation_metrics
from search.planning.plan import make_plan
from search.teaching import TeacherLead, recorded_leads
from tests.support.small_training import root as root
from tests.support.small_training import small_config

SPACE = {"distill.logit": {"type": "float", "low": 0.01, "high": 1.0}}


@pytest.fixture
def config(root: Path, tmp_path: Path) -> Config:
    """A search with a copy of the teacher, to write into."""
    shutil.copy(root / "teacher-Fold1.safetensors", tmp_path)
    section = {"scheduler": {"name": "none"}, "space": SPACE, "resources": {"cpu": 1, "gpu": 0}}
    return small_config(root, teacher={"checkpoint": str(tmp_path / "teacher-{fold}.safetensors")}, search=section)


def test_members_are_measured_as_the_epochs_of_a_training_are(config: Config) -> None:
    checkpoint = config.teacher.checkpoint_for("Fold1")
    scores = validate_members(checkpoint, config.data, config.train, "Fold1", "cpu")
    assert tuple(scores) == MEMBERS
    data, (model, _) = open_fold(config, "Fold1"), load_model(checkpoint)
    images = torch.tensor(data.validation_images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        output = model(images)
    for name, own in scores.items():
        alone = validation_metrics(output.members[name].embedding, data.validation)
        assert own.metrics == pytest.approx(alone, abs=1e-6)
        assert own.average_precision.mean() == pytest.approx(own.metrics["val/mAP"])
        assert len(own.identities) == len(own.average_precision)


@pytest.mark.parametrize(
    ("low", "high", "begins"),
    [(0.01, 0.05, "This teacher has something to teach: "), (-0.01, 0.07, "There may be nothing to distil: ")],
)
def test_a_plan_says_what_the_teacher_was_ahead_by(
    config: Config, tmp_path: Path, low: float, high: float, begins: str
) -> None:
    leads = [TeacherLead(member, 0.53, 0.5, 20, 1, low, high) for member in MEMBERS]
    record_against_student(
        config.teacher.checkpoint_for("Fold1"), {"epochs": 3, "leads": [lead.to_dict() for lead in leads]}
    )
    plan = make_plan(config, tmp_path / "runs")
    figures, said = plan.teaching
    assert figures.startswith("Teacher, validation mAP by member: Fold1 original ")
    assert "trial 1" not in figures
    assert said.startswith(f"Fold1, when the teacher was trained: {begins}")
    assert "original +3.0 (53.0 against 50.0" in said
    assert plan.to_dict()["teaching"] == [figures, said]
    table = next(part for part in page(plan) if hasattr(part, "columns"))
    assert said in list(table.columns[1].cells)


def test_a_plan_without_a_recorded_lead_says_who_will_tell(config: Config, tmp_path: Path) -> None:
    (said,) = make_plan(config, tmp_path / "runs").teaching
    assert said.endswith(
        "Whether that is more than a student without distillation learns, trial 1 of a search says at its end."
    )
    assert make_plan(config, tmp_path / "runs", measure=False).teaching == ()


def test_a_teacher_is_set_against_a_student_of_the_same_schedule(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "teacher-{fold}.safetensors")
    with pytest.raises(UserError, match="exists already"):
        train_teachers(config, out)
    before = (tmp_path / "teacher-Fold1.safetensors").stat().st_size
    train_teachers(config, out, against_student=True)  # the teacher is there: its student alone is trained
    printed = " ".join(capsys.readouterr().out.split())
    assert "teacher Fold1 epoch" not in printed
    assert printed.count("student Fold1 epoch") == 1
    (leads,) = recorded_leads(config).values()
    assert [lead.member for lead in leads] == list(MEMBERS)
    assert "Its lead by member, in points of mAP: original " in printed
    info = read_info(tmp_path / "teacher-Fold1.safetensors")
    assert info.against_student is not None
    assert info.against_student["epochs"] == 1
    assert load_model(tmp_path / "teacher-Fold1.safetensors")[1].role == "teacher"
    assert (tmp_path / "teacher-Fold1.safetensors").stat().st_size > before
    assert not (tmp_path / "teacher-Fold1.student").exists()
    with pytest.raises(UserError, match="exists already"):
        train_teachers(config, out, against_student=True)


def test_a_file_without_a_lead_is_as_earlier_versions_wrote_it(root: Path) -> None:
    with safe_open(root / "teacher-Fold1.safetensors", framework="pt") as file:
        description = json.loads(file.metadata()["owkd"])
    names = {"format", "role", "shape", "image_size", "num_classes", "identities", "origin"}
    assert description.keys() == names  # earlier versions refuse others; of the shape they take what they know
