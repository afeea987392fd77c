"""`python -m benchmarks.same_numbers` tells a moved bit from none."""

from __future__ import annotations

import math
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.recorded_numbers import Compared, Recorded, compare_runs, read_run, same_bits
from benchmarks.same_numbers import main

CLOCK = count(0.5)
"""never the same twice"""


def write_run(
    run: Path, params: list[float], epochs: list[tuple[int, int, float]], mean_ap: float | None = None
) -> Path:
    """Tables with one row a trial, one an epoch (trial, epoch, loss), and one retrained model of trial 0."""
    trials = [{"trial": number, "state": "complete", "param.lr": value} for number, value in enumerate(params)]
    losses = [
        {"trial": trial, "fold": "Fold1", "seed": 0, "epoch": epoch, "loss/total": loss, "duration_s": next(CLOCK)}
        for trial, epoch, loss in epochs
    ]
    _write(run / "results" / "trials" / "part-00000.parquet", trials)
    _write(run / "results" / "epochs" / "part-00000.parquet", losses)
    if mean_ap is not None:
        model = {"configuration": "trial 0", "fold": "Fold1", "seed": 0, "test/mAP": mean_ap, "state": "complete"}
        _write(run / "results" / "retrain" / "models.parquet", [model])
    return run


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def compared(tmp_path: Path, before: tuple[Any, ...], now: tuple[Any, ...], *, every_trial: bool) -> list[Compared]:
    sides = [read_run(write_run(tmp_path / name, *side)) for name, side in (("a", before), ("b", now))]
    return compare_runs(*sides, every_trial=every_trial)


def test_equal_runs_are_equal_whatever_clocks_say(tmp_path: Path) -> None:
    side = ([0.1, 0.2], [(0, 1, 1.5), (0, 2, math.nan), (1, 1, 0.7)], 0.5)
    assert compared(tmp_path, side, side, every_trial=True) == [
        Compared("trial 0", 2),
        Compared("trial 1", 1),
        Compared("trial 0 Fold1 0", 1),
    ]


def test_the_last_bit_of_one_loss_is_a_difference(tmp_path: Path) -> None:
    moved = math.nextafter(1.5, 2)
    (result,) = compared(tmp_path, ([0.1], [(0, 1, 1.5)]), ([0.1], [(0, 1, moved)]), every_trial=False)
    assert result.difference == f"Fold1 0 1: loss/total 1.5 -> {moved!r}"


def test_a_retrained_model_is_compared_too(tmp_path: Path) -> None:
    before, now = ([0.1], [(0, 1, 1.5)], 0.5), ([0.1], [(0, 1, 1.5)], 0.25)
    trial, model = compared(tmp_path, before, now, every_trial=True)
    assert trial.difference is None
    assert model.difference == "trial 0 Fold1 0: test/mAP 0.5 -> 0.25"


def test_a_metric_that_is_gone_is_a_difference_and_a_new_one_is_none() -> None:
    few = Recorded({0: {"param.lr": 0.1}}, {0: {("Fold1", 0, 1): {"loss/total": 1.0}}})
    more = Recorded({0: {"param.lr": 0.1}}, {0: {("Fold1", 0, 1): {"loss/total": 1.0, "val/mAP": 0.5}}})
    (lost,), (gained,) = compare_runs(more, few, every_trial=True), compare_runs(few, more, every_trial=True)
    assert lost.difference == "Fold1 0 1: val/mAP 0.5 -> None"
    assert gained == Compared("trial 0", 1)


@pytest.mark.parametrize("every_trial", [True, False])
def test_other_parameters_and_epochs_count_where_every_trial_must_be_there(tmp_path: Path, every_trial: bool) -> None:
    before = ([0.1, 0.2], [(0, 1, 1.5), (0, 2, 1.0), (1, 1, 0.7)])
    now = ([0.1, 0.3], [(0, 1, 1.5), (1, 1, 0.9)])
    differences = [result.difference for result in compared(tmp_path, before, now, every_trial=every_trial)]
    expected = ["2 epochs or models -> 1", "no trial has its parameters"] if every_trial else [None, None]
    assert differences == expected


def test_a_trial_is_found_by_its_parameters_under_another_number(tmp_path: Path) -> None:
    before, now = ([0.1, 0.2], [(0, 1, 1.5), (1, 1, 0.7)]), ([0.2, 0.1], [(0, 1, 0.7), (1, 1, 1.5)])
    assert compared(tmp_path, before, now, every_trial=False) == [Compared("trial 0", 1), Compared("trial 1", 1)]


def test_bits() -> None:
    assert same_bits(math.nan, math.nan)
    assert not same_bits(0.0, -0.0)


@pytest.mark.parametrize(("loss", "status", "verdict"), [(1.5, 0, "equal"), (2.0, 1, "1.5 -> 2.0")])
def test_two_runs_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loss, status, verdict
) -> None:
    runs = [write_run(tmp_path / name, [0.1], [(0, 1, value)]) for name, value in (("a", 1.5), ("b", loss))]
    monkeypatch.setattr("sys.argv", ["same_numbers", "--runs", *map(str, runs)])
    assert main() == status
    assert verdict in capsys.readouterr().out


def test_runs_that_share_no_trial_are_not_called_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [write_run(tmp_path / name, [value], [(0, 1, 1.5)]) for name, value in (("a", 0.1), ("b", 0.2))]
    monkeypatch.setattr("sys.argv", ["same_numbers", "--runs", *map(str, runs)])
    assert main() == 1


def test_models_of_other_seeds_have_nothing_to_be_compared_with() -> None:
    before = Recorded({}, {}, {("none", "Fold1", 0): {"test/mAP": 0.5}, ("gone", "Fold1", 0): {"test/mAP": 0.5}})
    now = Recorded({}, {}, {("none", "Fold1", 7): {"test/mAP": 0.4}})
    other_seeds, gone = compare_runs(before, now, every_trial=True)
    assert other_seeds == Compared("none Fold1 0 (other seeds there)", 0)
    assert gone.difference is not None
