"""The paired test of the final stage, by hand and in words."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from search.retrain.comparison import Comparison, ComparisonRow, Spread
from search.retrain.significance import PairedTest, adjust_p_values, holm, p_text, paired_test

PAIRS = [("Fold1", 0), ("Fold1", 1), ("Fold2", 0)]


def by_pair(values: list[float]) -> dict[tuple[str, int], float]:
    return dict(zip(PAIRS, values, strict=False))


def test_a_paired_t_test_by_hand() -> None:
    """d = 0.10, 0.15, 0.05: mean 0.1, s = 0.05, t = 0.1 / (0.05 / sqrt 3) = 2 sqrt 3 with two degrees of freedom.

    For those, P(|T| > t) = 1 - t / sqrt(2 + t^2), and the 97.5 % point is 4.302653.
    """
    result = paired_test("b", "mAP", by_pair([0.50, 0.60, 0.70]), by_pair([0.40, 0.45, 0.65]))
    assert result is not None
    t = 2 * math.sqrt(3)
    half = 4.302653 * 0.05 / math.sqrt(3)
    assert (result.pairs, result.champion, result.other) == (3, pytest.approx(0.6), pytest.approx(0.5))
    assert result.difference == pytest.approx(0.1)
    assert result.p_value == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert (result.low, result.high) == (pytest.approx(0.1 - half), pytest.approx(0.1 + half))


def test_only_equal_folds_and_seeds_are_paired() -> None:
    champion = {("Fold1", 0): 0.5, ("Fold1", 1): 0.9, ("Fold2", 0): 0.6}
    other = {("Fold2", 0): 0.5, ("Fold1", 0): 0.2, ("Fold2", 1): 0.1}
    result = paired_test("b", "mAP", champion, other)
    assert result is not None
    assert (result.pairs, result.champion, result.other) == (2, pytest.approx(0.55), pytest.approx(0.35))
    assert paired_test("b", "mAP", champion, {("Fold3", 0): 0.5}) is None


def test_one_pair_and_pairs_without_spread_allow_no_test() -> None:
    one = paired_test("b", "mAP", {("Fold1", 0): 0.5}, {("Fold1", 0): 0.4})
    alike = paired_test("b", "mAP", by_pair([0.3, 0.4, 0.5]), by_pair([0.2, 0.3, 0.4]))
    for result, why in ((one, "one pair"), (alike, "3 pairs without any spread between them")):
        assert result is not None
        assert (result.low, result.high, result.p_value) == (None, None, None)
        words = adjust_p_values([result])[0].in_words("the published weights")
        assert words == (
            f"The champion's test mAP is 10.0 points above that of the published weights; {why}: no test is possible."
        )


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_other_way_round_it_is_the_mirror_image(left: list[float], right: list[float]) -> None:
    there, back = (paired_test("b", "mAP", by_pair(a), by_pair(b)) for a, b in ((left, right), (right, left)))
    assert there is not None
    assert back is not None
    assert back.difference == pytest.approx(-there.difference, abs=1e-12)
    if there.p_value is not None and there.low is not None:
        assert back.p_value == pytest.approx(there.p_value)
        assert back.high == pytest.approx(-there.low)


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.03]) == [0.03]
    assert holm([0.03, 0.02]) == [0.04, 0.04]  # 2 x 0.02; then 0.03, but no less than the one before
    assert holm([0.01, 0.04]) == [0.02, 0.04]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def made_test(baseline: str, metric: str, p_value: float | None, difference: float = 0.049) -> PairedTest:
    low, high = (None, None) if p_value is None else (difference - 0.073, difference + 0.073)
    return PairedTest(baseline, metric, 3, 0.6, 0.6 - difference, difference, low, high, p_value)


def test_p_values_are_adjusted_within_a_metric() -> None:
    cases = ("a", "mAP", 0.02), ("a", "rank-1", 0.2), ("b", "mAP", 0.5), ("c", "mAP", None)
    tests = adjust_p_values([made_test(*case) for case in cases])
    assert [test.adjusted for test in tests] == [0.04, 0.2, 0.5, None]


@pytest.mark.parametrize(
    ("difference", "p_value", "words"),
    [
        (
            0.049,
            0.21,
            "4.9 points above that of X (95 % interval -2.4 to +12.2); with 3 pairs this could be chance (p = 0.21).",
        ),
        (
            -0.049,
            0.0123,
            "4.9 points below that of X (95 % interval -12.2 to +2.4); over 3 pairs, chance alone is unlikely to do "
            "this (p = 0.012).",
        ),
        (
            0.0001,
            0.99,
            "equal to that of X (95 % interval -7.3 to +7.3); 3 pairs show no difference (p = 0.99).",
        ),
    ],
)
def test_a_test_in_words(difference: float, p_value: float, words: str) -> None:
    (test,) = adjust_p_values([made_test("a", "mAP", p_value, difference)])
    assert test.in_words("X") == f"The champion's test mAP is {words}"


def test_small_p_values_are_not_shown_as_zero() -> None:
    assert (p_text(0.00001), p_text(0.001), p_text(0.2149)) == ("p < 0.001", "p = 0.001", "p = 0.21")


def test_the_tables_fit_eighty_columns() -> None:
    spread = Spread(0.57041, 0.03741)
    rows = tuple(
        ComparisonRow(name, detail, spread, spread, 45_500_000, 6)
        for name, detail in (("no distillation", ""), ("published weights", ""), ("champion", "trial 107"))
    )
    tests = adjust_p_values(
        [
            made_test(name, metric, 0.0004)
            for name in ("published weights", "no distillation")
            for metric in ("mAP", "rank-1")
        ]
    )
    comparison = Comparison(rows, tests, (), ("A note.",))
    console = Console(file=io.StringIO(), width=80)
    console.print(comparison.render())
    text = console.file.getvalue()  # type: ignore[attr-defined]  # of a StringIO
    assert "…" not in text
    assert "-2.4 to +12.2" in text
    assert "< 0.001" in text
    assert "A note." in text
    assert comparison.to_dict()["paired_tests"]["results"][0]["adjusted"] == pytest.approx(0.0008)


def test_a_champion_that_is_the_baseline_is_not_compared_with_itself() -> None:
    spread = Spread(0.5, None)
    rows = (ComparisonRow("champion", "published weights", spread, spread, 1, 1),)
    verdict = Comparison(rows, (), (), ()).verdict()
    assert verdict == [
        "The champion is the published weights: no other trial of the search is complete and keeps its constraints.",
        "There is no comparison with training without distillation: none of its models could be trained.",
    ]
