"""The fixed order, and sentences that say what their interval carries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.retrain.claims import Claim, Comparison, Lead, Scores, claims_in_order, in_words
from search.retrain.claims.order import statuses

PRIMARY = Comparison("published weights", "mAP")
WEIGHTS = "the published weights"


def lead(low: float | None, high: float | None, **fields) -> Lead:
    middle = 0.0 if low is None or high is None else (low + high) / 2
    numbers = {"standard_error": 0.01, "degrees": 18.0} if low is not None else {}
    made = Lead(0.3 + middle, 0.3, (10, 10), 1, None, 0.025, low=low, high=high, **numbers)
    return replace(made, **fields)


ABOVE, OPEN, BELOW, UNTESTED = lead(0.004, 0.04), lead(-0.01, 0.03), lead(-0.05, -0.01), lead(None, None)


@pytest.mark.parametrize(
    ("leads", "expected"),
    [
        ([ABOVE, ABOVE, ABOVE], ["shown", "shown", "shown"]),
        ([ABOVE, OPEN, ABOVE], ["shown", "not shown", "not tested"]),
        ([OPEN, ABOVE, ABOVE], ["not shown", "not tested", "not tested"]),
        ([BELOW, ABOVE], ["not shown", "not tested"]),
        ([UNTESTED, ABOVE], ["not shown", "not tested"]),
        ([], []),
    ],
)
def test_each_is_tested_as_long_as_those_before_it_held(leads, expected) -> None:
    assert statuses(leads) == expected


def test_both_kinds_of_claim_have_an_order_of_their_own() -> None:
    """A lead that holds on this split and not for people: the split's order goes on, the people's stops."""
    rng = np.random.default_rng(0)
    people = np.arange(12)

    def scores(mean: float, persons: np.ndarray) -> dict[str, Scores]:
        values = mean + persons + 0.01 * rng.normal(size=(6, 12))
        return {"mAP": Scores(np.arange(6), (people,), (values,))}

    champion = scores(0.5, np.zeros(12))
    others = {
        "a": scores(0.4, rng.permutation(np.linspace(-1, 1, 12))),
        "b": scores(0.2, np.zeros(12)),
        "c": scores(0.5, np.zeros(12)),
    }
    order = [Comparison(name, "mAP") for name in ("a", "b", "c")]
    claims = claims_in_order(champion, others, order)
    assert [(claim.kind, claim.comparison.other, claim.status) for claim in claims] == [
        ("split", "a", "shown"),
        ("split", "b", "shown"),
        ("split", "c", "not shown"),
        ("people", "a", "not shown"),
        ("people", "b", "not tested"),
        ("people", "c", "not tested"),
    ]
    assert [claim.primary for claim in claims] == [True, False, False] * 2
    assert claims[0].lead.identities is None
    assert claims[3].lead.identities == 12
    with pytest.raises(ValueError, match="primary"):
        claims_in_order(champion, others, [])


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (
            Claim("split", PRIMARY, True, ABOVE, "shown"),
            "On this test split, the champion is above the published weights: test mAP 32.2 against 30.0, +2.2 points "
            "(95 % interval +0.4 to +4.0 over the luck of training, 10 against 10 seeds).",
        ),
        (
            Claim("people", PRIMARY, True, replace(ABOVE, identities=96, folds=2), "shown"),
            "For people of this kind, looked up in this gallery, the champion is above the published "
            "weights: test mAP 32.2 against 30.0, +2.2 points (95 % interval +0.4 to +4.0 over 96 people and the luck "
            "of training, 10 against 10 seeds on 2 folds).",
        ),
        (
            Claim("split", PRIMARY, True, OPEN, "not shown"),
            "On this test split, searching was not shown to pay against the published weights: test mAP 31.0 against "
            "30.0, +1.0 points (95 % interval -1.0 to +3.0 over the luck of training, 10 against 10 seeds); this run "
            "could have detected 3.0 points with 80 %.",
        ),
        (
            Claim("split", PRIMARY, False, OPEN, "not shown"),
            "On this test split, the champion was not shown to be better against the published weights: test mAP 31.0 "
            "against 30.0, +1.0 points (95 % interval -1.0 to +3.0 over the luck of training, 10 against 10 seeds); "
            "this run could have detected 3.0 points with 80 %.",
        ),
        (
            Claim("split", PRIMARY, True, BELOW, "not shown"),
            "On this test split, the champion is below the published weights: test mAP 27.0 against 30.0, -3.0 points "
            "(95 % interval -5.0 to -1.0 over the luck of training, 10 against 10 seeds).",
        ),
        (
            Claim("split", PRIMARY, False, ABOVE, "not tested"),
            "On this test split, the champion against the published weights was not tested, because an earlier "
            "comparison failed: test mAP 32.2 against 30.0, +2.2 points (95 % interval +0.4 to +4.0 over the luck of "
            "training, 10 against 10 seeds).",
        ),
        (
            Claim("split", PRIMARY, True, replace(UNTESTED, seeds=(10, 1)), "not shown"),
            "On this test split, nothing can be claimed about the champion and the published weights: test mAP 30.0 "
            "against 30.0, but a test takes two seeds of each.",
        ),
        (
            Claim("people", PRIMARY, True, replace(UNTESTED, identities=1), "not shown"),
            "For people of this kind, looked up in this gallery, nothing can be claimed about the champion "
            "and the published weights: test mAP 30.0 against 30.0, but a test takes two people.",
        ),
        (
            Claim("split", PRIMARY, True, UNTESTED, "not shown"),
            "On this test split, nothing can be claimed about the champion and the published weights: test mAP 30.0 "
            "against 30.0, but there is no spread to test against.",
        ),
    ],
)
def test_sentences(claim, words) -> None:
    assert in_words(claim, WEIGHTS) == words


def test_an_end_near_nothing_shows_its_side() -> None:
    """`+0.0 to` would leave open whether the interval excludes 0."""
    claim = Claim("split", PRIMARY, True, lead(0.0002, 0.02), "shown")
    assert "interval +0.02 to +2.0" in in_words(claim, WEIGHTS)
    claim = Claim("split", PRIMARY, True, lead(-0.00003, 0.02), "not shown")
    assert "interval -0.003 to +2.0" in in_words(claim, WEIGHTS)


def test_an_interval_of_another_error_names_its_level() -> None:
    claim = Claim("split", PRIMARY, True, replace(ABOVE, error=0.0125), "shown")
    assert "(97.5 % interval" in in_words(claim, WEIGHTS)
