"""Trainings that benchmarks compare are trained and tested once; their intervals are of paired differences."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks import bench_options, bench_presets, trainings

pytestmark = pytest.mark.numeric


def test_a_lead_has_the_interval_of_a_paired_t_test() -> None:
    values, base = [0.31, 0.27, 0.36, 0.30], [0.25, 0.26, 0.29, 0.31]
    interval = ttest_rel(values, base).confidence_interval(0.95)
    expected = [100 * float(np.mean(np.subtract(values, base))), 100 * interval.low, 100 * interval.high]
    assert trainings.lead_in_points(values, base) == "{:+.1f} ({:+.1f} to {:+.1f})".format(*expected)
    assert trainings.lead_in_points([0.5], [0.25]) == "+25.0"


@pytest.mark.slow
def test_every_preset_and_option_has_its_row_and_what_is_over_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_options, "OPTIONS", {"flip": {"train.flip": True}})
    reports = [
        lambda: bench_presets.report(bench_presets.QUICK, 1, tmp_path),
        lambda: bench_options.report(bench_options.QUICK, 1, tmp_path),
    ]
    texts = [report() for report in reports]
    assert re.search(
        r"^\| `nano` \| 0\.5 M \| [\d.]+ G \| [\d.]+ ms \| [\d.]+ ms( \| [-+]?\d+\.\d){4} \|$", texts[0], re.M
    )
    assert re.search(r"^\| `flip` \| \d+\.\d \| [-+]\d+\.\d \| \d+\.\d \| [-+]\d+\.\d \|$", texts[1], re.M)
    assert not list((tmp_path / "running").iterdir())
    monkeypatch.setattr(trainings, "run", None)
    monkeypatch.setattr(trainings, "train_teacher", None)
    assert reports[1]() == texts[1]
    again = reports[0]()
    scores = re.compile(r"( \| [-+]?\d+\.\d){4} \|$", re.M)
    assert scores.search(again)
    assert scores.findall(again) == scores.findall(texts[0])


def test_every_option_is_off_where_all_are(tmp_path: Path) -> None:
    base = bench_options.configured(bench_options.QUICK, tmp_path, "D").to_dict()["train"]
    for values in bench_options.OPTIONS.values():
        for name, value in values.items():
            assert base[name.removeprefix("train.")] != value
