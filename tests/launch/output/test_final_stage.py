"""The result of the final stage on the console."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from launch.output.final_stage import PICTURE, final_stage_page, interval_line
from search.retrain.claims import Claim, Kind, Lead, PlannedComparison, Status
from search.retrain.comparison import Comparison, ComparisonRow, Spread

PRIMARY = PlannedComparison("published weights", "mAP")


def claim(kind: Kind, comparison: PlannedComparison, status: Status, low: float | None, high: float | None) -> Claim:
    found = {"standard_error": 0.01, "degrees": 18.0} if low is not None else {}
    people = 96 if kind == "people" else None
    middle = 0.0 if low is None or high is None else (low + high) / 2
    lead = Lead(0.3 + middle, 0.3, (10, 10), 1, people, 0.02, low=low, high=high, **found)
    return Claim(kind, comparison, comparison == PRIMARY, lead, status)


def printed(comparison: Comparison, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(final_stage_page(comparison))
    return console.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO


def made() -> Comparison:
    other = PlannedComparison("no distillation", "rank-1")
    claims = (
        claim("split", PRIMARY, "shown", 0.01, 0.05),
        claim("split", other, "not shown", -0.114, 0.2),
        claim("people", PRIMARY, "not shown", -0.02, 0.08),
        claim("people", other, "not tested", -0.15, 0.2),
    )
    spread = Spread(0.57041, 0.03741)
    rows = tuple(
        ComparisonRow(name, detail, spread, spread, 45_500_000, 10)
        for name, detail in (("no distillation", ""), ("published weights", ""), ("champion", "trial 107"))
    )
    return Comparison(rows, claims, PRIMARY, ("published weights", "no distillation"), (), ("A note.",))


def test_the_sentence_comes_first_then_the_picture_then_the_means() -> None:
    lines = printed(made(), width=400).splitlines()
    assert lines[0] == made().headline()
    text = "\n".join(lines)
    order = ("On this test", "with 96 % intervals", "±", "A note.", "gallery are taken")
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_every_table_fits_eighty_columns() -> None:
    lines = printed(made()).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if " split " in line and "|" in line]
    assert [row[:5] for row in rows] == [
        ["published", "weights", "split", "+3.0", "+1.0"],
        ["no", "distillation", "split", "+4.3", "-11.4"],
    ]
    assert any("0.5704 ± 0.0374" in line and "45.50 M" in line and "champion (trial 107)" in line for line in lines)


@pytest.mark.parametrize(
    ("low", "high", "line"),
    [
        (-0.1, 0.1, "---------*---------"),
        (0.04, 0.08, "         |   -*--  "),
        (-0.08, -0.04, "  --*-   |         "),
        (None, None, "         *         "),
    ],
)
def test_an_interval_is_drawn_where_it_is(low: float | None, high: float | None, line: str) -> None:
    assert len(line) == PICTURE
    assert interval_line(claim("split", PRIMARY, "not shown", low, high), -0.1, 0.1) == line


def test_without_a_comparison_there_is_no_picture() -> None:
    row = ComparisonRow("champion", "published weights", Spread(0.5, None), Spread(0.5, None), 1, 1)
    text = printed(Comparison((row,), (), PRIMARY, ("published weights", "no distillation"), (), ()), width=400)
    assert text.startswith("The champion is the published weights: no other trial")
    assert "There is no comparison of the champion with training without distillation" in text
    assert "interval" not in text
