"""The networks of the ensemble have their names from one table."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from owkd.config import TeacherWeights
from owkd.losses.distillation import SUPERVISED_TERMS
from owkd.models.outputs import BACKBONES, MEMBERS, EnsembleOutput
from owkd.models.presets import architecture
from owkd.models.published_files import HEADS
from owkd.models.wse import WseNet

pytestmark = pytest.mark.numeric

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "owkd/models/outputs.py"


def test_the_table_is_what_the_ensemble_has() -> None:
    model = WseNet(architecture("nano"), 4, 32, "teacher")
    assert tuple(model.members) == MEMBERS == tuple(name for name, _ in model.named_children())
    assert tuple(model.backbones) == BACKBONES
    assert model.members["gce"] is model.gce
    assert tuple(field.name for field in fields(EnsembleOutput)) == MEMBERS
    assert tuple(TeacherWeights.model_fields) == MEMBERS
    assert {f"ce_{name}" for name in MEMBERS} | {f"triplet_{name}" for name in MEMBERS} <= set(SUPERVISED_TERMS)
    assert HEADS == {"original": "head_ms.weight", "attention": "head_ms.weight", "gce": "fc.weight"}


def test_no_other_module_lists_the_backbones() -> None:
    listing = []
    for package in ("owkd", "search"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "config" in path.parts:
                continue
            strings = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            if strings & set(BACKBONES):
                listing.append(path)
    assert listing == [TABLE]
