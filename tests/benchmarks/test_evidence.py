"""What the evidence stands on: disjoint splits, a configuration without mistakes, a page of the run's own figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.evidence import omniglot, stages
from owkd.data.check import check_dataset
from owkd.data.images import decode
from owkd.data.index import SPLITS, read_split
from owkd.errors import UserError

DATASET = "Omniglot_thermal"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    omniglot.write_omniglot(folder, DATASET, drawers=(1, 20))
    return folder


def test_the_layout_has_nothing_that_would_spoil_a_result(root: Path) -> None:
    report = check_dataset(root / DATASET)
    assert not report.findings
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
