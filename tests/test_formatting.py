"""One form for each kind of number that people read."""

from __future__ import annotations

import pytest

from owkd.formatting import (
    format_bytes,
    format_clock,
    format_count,
    format_duration,
    format_metric,
    format_value,
    format_values,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.000123456, "0.000123"),
        (1e-6, "1e-06"),
        (2.0, "2"),
        (30, "30"),
        (12345, "12345"),
        (True, "True"),
        ("learned", "learned"),
        ([1, 1, 2, 1], "[1, 1, 2, 1]"),
        ({"original": 1.1, "attention": 0.724, "gce": 1}, "1.10/0.72/1.00"),
        ({"original": 3.0, "attention": -1e-9, "gce": 0.0}, "3.00/0.00/0.00"),
        (4051.2, "4,051"),
        (-0.0, "0"),
    ],
)
def test_a_value_of_a_field(value: object, text: str) -> None:
    assert format_value(value) == text


def test_fields_by_their_last_names() -> None:
    values = {"distill.gram": 1.234e-4, "distill.stage_weights": {"stage1": 1.0, "stage2": 2.0}, "name": "x"}
    assert format_values(values) == "gram 0.000123, stage_weights 1.00/2.00, name x"
    assert format_values({}) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (1.0, "1"),
        (12.3456, "12.35"),
        (45_500_000.0, "45,500,000"),
        (1234.5, "1234"),
        (40_512.3, "40,512"),
        (-0.00001, "0.0000"),
        (-0.25, "-0.2500"),
        (0, "0.0000"),
    ],
)
def test_a_metric(value: float, text: str) -> None:
    assert format_metric(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0123, "0.0123 s"),
        (119.9, "120 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (44_280, "12.3 h"),
        (5e6, "1,389 h"),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0:00:00"), (72.5, "0:01:12"), (183_845, "2 days, 3:04:05")])
def test_a_clock(seconds: float, text: str) -> None:
    assert format_clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.9, "1 kB"),
        (1000, "1 kB"),
        (12_345_678, "12.3 MB"),
        (999_600_000, "1 GB"),
        (1.5e12, "1.5 TB"),
        (1.2e16, "12,000 TB"),
    ],
)
def test_bytes(count: float, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 folds"), (1, "1 fold"), (3, "3 folds"), (12_000, "12,000 folds")])
def test_a_count(count: int, text: str) -> None:
    assert format_count(count, "fold") == text
