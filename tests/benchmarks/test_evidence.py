"""What the evidence stands on: disjoint splits, a configuration without mistakes, a page of the run's own figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks.evidence import omniglot, page, stages
from owkd.data.checking import check_dataset
from owkd.data.index import SPLITS, read_split
from owkd.data.reading.picture import decode
from owkd.errors import UserError
from search.report.gather import RunData
from search.results.schema import Row
from search.runs.layout import RunFolder

DATASET = "Omniglot_thermal"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    omniglot.write_omniglot(folder, DATASET, drawers=(1, 20))
    return folder


def test_the_layout_has_nothing_that_would_spoil_a_result(root: Path) -> None:
    report = check_dataset(root / DATASET, binary=True)
    assert report.findings == [], "but that ink is black on white"
    assert {
        fold: {split: count.identities for split, count in counts.items()} for fold, counts in report.counts.items()
    } == {fold: {"train": 91, "validation": 60, "test": 91} for fold in ("Fold1", "Fold2")}


def test_drawers_are_cameras_and_ink_is_bright(root: Path) -> None:
    split = read_split(root, DATASET, "Fold1", "train")
    assert split.cameras is not None
    assert split.cameras.tolist() == [1, 20] * 91
    assert decode(split.folder / split.paths[0], 32).mean() < 128


def test_nobody_who_is_tested_had_a_part_in_a_choice() -> None:
    """Validation is the same in both folds and outside of both tests; what one fold learns the other tests."""
    first, second = ({split: set(members) for split, members in fold.items()} for fold in omniglot.divide(242).values())
    assert first["validation"] == second["validation"]
    assert (first["train"], first["test"]) == (second["test"], second["train"])
    parts = [first[split] for split in SPLITS]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 242


def test_every_character_of_the_archive_is_one_identity() -> None:
    """Two alphabets are in both published archives: a copy under another name would be recognised without any skill."""
    characters = omniglot.read_characters()
    drawings = [content for character in characters for content in character.values()]
    assert (len(characters), len(drawings)) == (242, 242 * 20)
    assert len(set(drawings)) == len(drawings)


def test_the_configuration_has_no_mistake_and_is_not_changed_under_a_run(tmp_path: Path) -> None:
    planned = stages.written_config(tmp_path, stages.CONFIG)
    assert planned.data.folds == ("Fold1", "Fold2")
    assert stages.written_config(tmp_path, stages.CONFIG) == planned
    other = tmp_path / "other.yaml"
    other.write_text(stages.CONFIG.read_text(encoding="utf-8").replace("epochs: ", "epochs: 1"), encoding="utf-8")
    with pytest.raises(UserError, match="was begun with another one"):
        stages.written_config(tmp_path, other)


def model(configuration: str, fold: str, value: float, seed: int | None = 3, *, champion: bool = False) -> Row:
    return {
        "configuration": configuration,
        "champion": champion,
        "fold": fold,
        "seed": seed,
        "seed_set": None if seed is None else "test",
        "test/mAP": value,
        "test/rank-1": value + 0.1,
        "parameters": 470_000,
    }


def claim(kind: str, low: float, high: float, status: str) -> Row:
    return {
        "baseline": "published weights",
        "metric": "test/mAP",
        "kind": kind,
        "status": status,
        "difference": (low + high) / 2,
        "interval_low": low,
        "interval_high": high,
        "error": 0.02,
        "champion_seeds": 8,
        "baseline_seeds": 7,
        "identities": 182 if kind == "people" else None,
    }


def test_the_page_begins_with_the_teachers_lead_and_has_the_figures_of_the_run(tmp_path: Path) -> None:
    config = stages.written_config(tmp_path, stages.CONFIG)
    models = [
        *(model("teacher", fold, value, None) for fold, value in (("Fold1", 0.31), ("Fold2", 0.33))),
        *(
            model("no distillation", fold, value, seed)
            for fold, value, seed in (("Fold1", 0.20, 3), ("Fold1", 0.22, 4))
        ),
        model("no distillation", "Fold2", 0.30),
        *(model("trial 7", fold, 0.25, champion=True) for fold in config.data.folds),
    ]
    data = RunData(
        folder=RunFolder(tmp_path),
        config=config,
        manifest={"versions": {"python": "3.11.7"}},
        has_driver=False,
        trials=[{"state": "complete"}] * 3,
        epochs={},
        params=(),
        models=models,
        claims=[claim("split", 0.012, 0.034, "shown"), claim("people", -0.01, 0.056, "not shown")],
        comparison={
            "claims": [],
            "teaching": "It has something to teach.",
            "headline": "The champion is above.",
            "missing": [],
            "notes": [],
            "others": ["Rank-1 too."],
            "design": ["There was a control."],
            "caveat": "No more than this.",
        },
        panels=[],
        teaching=["On validation too."],
    )
    text = page.render(data, stages.Log(machines=["A processor"], seconds={"search": 600.0, "retrain": 1200.0}))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[1] == "## The teacher's lead"
    for row in (
        "It has something to teach.",
        "On validation too.",
        "| Fold1 | 31.0 | 21.0 ± 1.4 | +10.0 |",
        "| Fold2 | 33.0 | 30.0 | +3.0 |",
        "| published weights | mAP | on this test split | +2.3 | +1.2 to +3.4 | shown | 8 / 7 |  |",
        "| published weights | mAP | for people of this kind | +2.3 | -1.0 to +5.6 | not shown | 8 / 7 | 182 |",
        "> The champion is above.",
        "Rank-1 too.",
        "There was a control.",
        "No more than this.",
    ):
        assert row in text.splitlines()
    assert "| 96 % interval |" in text
    assert "champion (trial 7)" in text
    assert "A processor; 30 min" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_question_at_toy_size_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "DRAWERS", (1, 2))
    monkeypatch.setattr(stages, "TEACHERS_DRAWERS", (1, 2, 3))
    raw = yaml.safe_load(stages.CONFIG.read_text(encoding="utf-8"))
    raw["teacher"]["backbones"]["epochs"] = raw["train"]["epochs"] = 1
    raw["search"].update(trials=3, scheduler={"name": "none"})
    raw["retrain"].update(seeds=2, top_k=1, control=False)
    toy = tmp_path / "toy.yaml"
    toy.write_text(yaml.safe_dump(raw), encoding="utf-8")

    out = tmp_path / "out"
    assert not stages.go_through(out, until="teachers", config=toy).exists()
    teachers = [path.stat().st_mtime_ns for path in sorted(out.glob("teacher-*.safetensors"))]
    assert len(teachers) == 2
    run = stages.go_through(out, config=toy)
    models = {path: path.stat().st_mtime_ns for path in run.rglob("best.safetensors")}
    page.write_page(run, tmp_path / "evidence.md")
    assert "| Fold2 |" in (tmp_path / "evidence.md").read_text(encoding="utf-8")

    assert stages.go_through(out, config=toy) == run
    assert {path: path.stat().st_mtime_ns for path in run.rglob("best.safetensors")} == models
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("teacher-*.safetensors"))] == teachers
    assert set(stages.read_log(out).seconds) == set(stages.STAGES)
