"""What `search.execution.worker.Train` promises, held to by the real training and by each of its stand-ins."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from owkd.config import Config, parse_config, with_values
from owkd.errors import DivergedError
from owkd.training.run import run
from search.execution.worker import train_student
from tests.chaos.training import chained_run
from tests.support.fake_training import fake_config, fake_run, make_plan
from tests.support.small_training import root as root
from tests.support.small_training import small_config

pytestmark = pytest.mark.numeric

EPOCHS = 3
BY_CLOCK = ("duration_s", "images_per_second", "gpu_memory_peak_bytes")


class Cut(Exception):  # noqa: N818  # no error: the driver is gone
    """Ends a training from within `report`, as a stopped trial or a dead worker does."""


class TrainingContract:
    """Subclasses give `train` and `config`; `diverging` is a configuration whose first epoch is not finite."""

    train: Any
    name: str

    def reported(self, config: Config, directory: Path, *, until: float = EPOCHS) -> list[tuple[int, bool, dict]]:
        """Trains, with an end after `until` epochs -> number, `replayed` and metrics of each."""
        epochs = []

        def report(epoch) -> None:
            assert (epoch.fold, epoch.seed) == ("Fold1", 5)
            assert (directory / "last.pt").is_file(), "the state is stored before the epoch is reported"
            assert (directory / "best.safetensors").is_file()
            kept = {name: value for name, value in epoch.metrics.items() if name not in BY_CLOCK}
            epochs.append((epoch.epoch, epoch.replayed, kept))
            if len(epochs) == until:
                raise Cut

        try:
            type(self).train(config, report, fold="Fold1", directory=directory, seed=5)
        except Cut:
            assert len(epochs) == until
        return epochs

    def test_it_is_the_one_that_is_named(self) -> None:
        assert getattr(type(self).train, "__name__", "") == self.name

    def test_every_epoch_is_reported_once_in_order(self, config: Config, directory: Path) -> None:
        epochs = self.reported(config, directory, until=math.inf)
        assert [(number, replayed) for number, replayed, _ in epochs] == [(n, False) for n in range(1, EPOCHS + 1)]
        assert all(math.isfinite(metrics[config.search.leading_metric]) for _, _, metrics in epochs)

    def test_a_restart_replays_what_was_trained_and_ends_like_an_unbroken_training(
        self, config: Config, directory: Path
    ) -> None:
        assert [number for number, _, _ in self.reported(config, directory, until=2)] == [1, 2]
        again = self.reported(config, directory)
        assert [(number, replayed) for number, replayed, _ in again] == [(1, True), (2, True), (3, False)]
        unbroken = self.reported(config, directory.with_name(f"{directory.name}-unbroken"))
        assert [metrics for _, _, metrics in again] == [metrics for _, _, metrics in unbroken]

    def test_a_training_that_is_done_replays_all_of_it(self, config: Config, directory: Path) -> None:
        first = self.reported(config, directory, until=math.inf)
        again = self.reported(config, directory, until=math.inf)
        assert [(number, True, metrics) for number, _, metrics in first] == again

    def test_no_report_is_needed(self, config: Config, directory: Path) -> None:
        type(self).train(config, None, fold="Fold1", directory=directory, seed=5)
        assert [replayed for _, replayed, _ in self.reported(config, directory)] == [True] * EPOCHS

    def test_what_report_raises_ends_the_training(self, config: Config, directory: Path) -> None:
        with pytest.raises(Cut):
            type(self).train(config, self._cut, fold="Fold1", directory=directory, seed=5)
        assert [replayed for _, replayed, _ in self.reported(config, directory)] == [True, False, False]

    def test_a_loss_that_is_not_finite_is_a_diverged_error(self, diverging: Config, directory: Path) -> None:
        with pytest.raises(DivergedError, match="finite"):
            type(self).train(diverging, None, fold="Fold1", directory=directory, seed=5)

    @staticmethod
    def _cut(epoch) -> None:
        raise Cut


class _StandIn(TrainingContract):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        return tmp_path / "trial-00000"

    @pytest.fixture
    def config(self, tmp_path: Path) -> Config:
        (tmp_path / "data").mkdir()
        return with_values(parse_config(fake_config(tmp_path)), {"train.epochs": EPOCHS})

    @pytest.fixture
    def diverging(self, config: Config, tmp_path: Path) -> Config:
        make_plan(tmp_path, {"trial-00000": "diverge"})
        return config


class TestFakeRun(_StandIn):
    train: Any = fake_run
    name = "fake_run"


class TestChainedRun(_StandIn):
    train: Any = chained_run
    name = "chained_run"


class _Real(TrainingContract):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        return tmp_path / "real"

    @pytest.fixture
    def config(self, root: Path) -> Config:
        return small_config(root, student={"depths": [1, 1, 1, 1]}, train={"epochs": EPOCHS})

    @pytest.fixture
    def diverging(self, root: Path) -> Config:
        return small_config(root, distill={"gram": 1e38})  # beyond float32, whatever the images are


class TestRun(_Real):
    train: Any = run
    name = "run"


class TestTrainStudent(_Real):
    train: Any = train_student
    name = "train_student"
