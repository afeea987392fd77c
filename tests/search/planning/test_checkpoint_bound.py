"""The bound on a run's checkpoints holds for real files, and is no loose guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from owkd.config import Fixed, with_values
from owkd.errors import ConfigError
from owkd.training.prepare import open_fold
from owkd.training.run import run
from search.planning.checkpoint_bound import EPOCH_BYTES, checkpoint_bound
from search.trials.budget import Budget
from tests.support.small_training import root as root
from tests.support.small_training import small_config

SEARCH: dict[str, object] = {"scheduler": {"name": "none"}}
SPACE = {"distill.gram": {"type": "float", "low": 1e-6, "high": 1e-2}}


def test_a_real_training_takes_what_is_stated(root: Path, tmp_path: Path) -> None:
    config = small_config(root, search={**SEARCH, "space": SPACE}, train={"epochs": 2})
    people = len(open_fold(config, "Fold1").identities)
    bound = checkpoint_bound(config, identities=people, at_a_time=1)
    run(config, fold="Fold1", directory=tmp_path)
    weights = (tmp_path / "best.safetensors").stat().st_size
    state = (tmp_path / "last.pt").stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"best.safetensors", "last.pt"}
    # The networks of this test are the smallest: hundreds of tensors of a few numbers each, most of it names.
    assert weights <= bound.weights <= 1.6 * weights
    assert state <= bound.state <= 1.6 * state


def test_the_published_student_is_counted_in_parameters(tmp_path: Path) -> None:
    config = small_config(tmp_path, student={"preset": "micro"}, data={"image_size": 224})
    bound = checkpoint_bound(config, identities=247, at_a_time=1)
    # 45.5 million parameters embed; projections, saliency and the head train only. Four bytes each.
    assert 45_500_000 * 4 < bound.weights < 60_000_000 * 4
    assert bound.state == pytest.approx(3 * bound.weights, rel=0.02)


@pytest.mark.parametrize("control", [False, True])
def test_parts_are_added_up(tmp_path: Path, control: bool) -> None:
    config = small_config(
        tmp_path,
        data={"folds": ["Fold1", "Fold2"]},
        search={**SEARCH, "space": SPACE, "seeds": [0, 1, 2]},
        retrain={"top_k": 4, "seeds": 5, "folds": ["Fold1"], "control": control},
    )
    bound = checkpoint_bound(config, identities=8, at_a_time=3)
    w, s = bound.weights, bound.state
    assert bound.search == 3 * (6 * (w + s) + s) + (4 + 1) * 6 * w  # the best four, and the one without distillation
    of_control = (2 * (4 + 2) + 5) * w + 4 * 6 * w if control else 0  # its models, and its best trials
    assert bound.retrain == (2 * (4 + 2) + 3 * 5) * w + 3 * (s + s) + w + of_control
    assert bound.total == bound.search + bound.retrain


def test_the_largest_student_of_the_space_counts(tmp_path: Path) -> None:
    config = small_config(tmp_path, data={"image_size": 224}, search={**SEARCH, "space": SPACE})
    sizes = {"student.preset": {"type": "categorical", "choices": ["nano", "micro"]}}
    searched = with_values(config, {"search.space": {**SPACE, **sizes}})
    micro = with_values(config, {"student.preset": "micro"})
    bounds = [checkpoint_bound(each, identities=8, at_a_time=2) for each in (config, micro, searched)]
    assert bounds[0].total < bounds[1].total
    assert (bounds[1].weights, bounds[1].search) == (bounds[2].weights, bounds[2].search)
    matched = 2 * Budget.of(searched).test_seeds  # baselines with the champion's student
    assert bounds[2].retrain == bounds[1].retrain + matched * bounds[1].weights


def test_longer_histories_count(tmp_path: Path) -> None:
    epochs = {"train.epochs": {"type": "int", "low": 3, "high": 500}}
    config = small_config(tmp_path, train={"epochs": 3}, search={**SEARCH, "space": epochs})
    short = with_values(config, {"search.space": SPACE})
    wide, narrow = (checkpoint_bound(each, identities=8, at_a_time=1) for each in (config, short))
    assert wide.state - narrow.state == (500 - 3) * 1024


def test_choices_that_exclude_each_other_are_said(tmp_path: Path) -> None:
    """A tree refuses them itself, unless a section has too many combinations to try."""
    config = small_config(tmp_path, student={"preset": "micro"}, search=SEARCH)
    space = {
        "student.init": Fixed(type="fixed", value="imagenet"),
        "student.preset": Fixed(type="fixed", value="nano"),
    }
    config = config.model_copy(update={"search": config.search.model_copy(update={"space": space})})
    with pytest.raises(ConfigError, match="exclude each other"):
        checkpoint_bound(config, identities=8, at_a_time=1)


@pytest.mark.parametrize("entry", [{"type": "fixed", "value": 900}, {"type": "categorical", "choices": [1, 900]}])
def test_the_longest_training_of_the_space_counts(tmp_path: Path, entry: dict) -> None:
    """The state file holds every epoch's metrics."""
    config = small_config(tmp_path, train={"epochs": 1}, search={**SEARCH, "space": SPACE})
    longer = with_values(config, {"search.space": {**SPACE, "train.epochs": entry}})
    bounds = [checkpoint_bound(each, identities=8, at_a_time=1) for each in (config, longer)]
    assert bounds[1].state - bounds[0].state == 899 * EPOCH_BYTES
