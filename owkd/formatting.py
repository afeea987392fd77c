"""Values, durations, sizes and counts for people: one form each, wherever they are printed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


def format_value(value: Any) -> str:
    """A value of a field: a number to three digits, weights as `1.10/0.72/1.18`, anything else as it is."""
    if isinstance(value, Mapping):
        return "/".join(f"{weight:z.2f}" for weight in value.values())
    if isinstance(value, float) and 999.5 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:z.3g}" if isinstance(value, float) else str(value)


def format_values(values: Mapping[str, Any]) -> str:
    """Fields by the last part of their dotted paths: `gram 0.00012, teacher_weights 1.10/0.72/1.18`."""
    return ", ".join(f"{path.rpartition('.')[2]} {format_value(value)}" for path, value in values.items())


def format_metric(value: float) -> str:
    """A share of 1 with four decimals, a count in full, anything else with four digits."""
    if value >= 1000 and value == int(value):
        return f"{value:,.0f}"
    if abs(value) < 1:
        return f"{value:z.4f}"
    return f"{value:,.0f}" if 9999.5 <= abs(value) < 1e9 else f"{value:.4g}"


def format_duration(seconds: float) -> str:
    """`38 s`, `4.5 min`, `12.3 h`: three digits; minutes from two of them on, hours from two of them on."""
    if seconds < 120:
        return f"{_three_digits(seconds)} s"
    return f"{_three_digits(seconds / 60)} min" if seconds < 7200 else f"{_three_digits(seconds / 3600)} h"


def format_clock(seconds: float) -> str:
    """Whole seconds as `0:01:12`; `2 days, 3:04:05` from a day on."""
    return str(timedelta(seconds=int(seconds)))


def format_bytes(count: float) -> str:
    """`812 B`, `12.3 MB`, `4.56 TB`: three digits, in units of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{_three_digits(count)} {unit}"
        count /= 1000
    return f"{_three_digits(count)} TB"


def format_count(count: int, noun: str) -> str:
    """`1 fold`, `3 folds`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"
