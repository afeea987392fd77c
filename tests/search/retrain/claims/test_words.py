"""The fixed order, and sentences that say what their interval carries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.retrain.claims import (
    Claim,
    Kind,
    Lead,
    PlannedComparison,
    Scores,
    Status,
    by_comparison,
    claims_in_order,
    in_words,
    interval,
    level,
    planned_order,
)
from search.retrain.claims.order import statuses

PRIMARY = PlannedComparison("published weights", "mAP")
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
    order = [PlannedComparison(name, "mAP") for name in ("a", "b", "c")]
    claims = claims_in_order(champion, others, order, order[0])
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
    assert [(split.comparison.other, people.comparison.other) for split, people in by_comparison(claims)] == [
        (name, name) for name in ("a", "b", "c")
    ]
    later = claims_in_order(champion, others, order[1:], order[0])
    assert not any(claim.primary for claim in later)


SPLIT = "On this test split"
PEOPLE = "or people of this kind, looked up in this gallery"
SEEDS = "over the luck of training, 10 against 10 seeds"


def made(lead_of_kind: Lead, status: Status, kind: Kind = "split", primary: bool = True) -> Claim:
    return Claim(kind, PRIMARY, primary, lead_of_kind, status)


def wide(low: float | None, high: float | None, **fields) -> Lead:
    return lead(low, high, identities=96, **fields)


@pytest.mark.parametrize(
    ("split", "people", "words"),
    [
        (
            made(ABOVE, "shown"),
            made(wide(0.001, 0.043), "shown", "people"),
            f"{SPLIT} and f{PEOPLE}, the champion is above the published weights: test mAP 32.2 against 30.0, "
            f"+2.2 points (95 % interval +0.4 to +4.0 {SEEDS}; +0.1 to +4.3 over 96 people as well).",
        ),
        (
            made(replace(ABOVE, folds=2, seeds=(10, 9)), "shown"),
            made(wide(-0.01, 0.054), "not shown", "people"),
            f"{SPLIT}, the champion is above the published weights; f{PEOPLE}, this was not shown: test mAP 32.2 "
            "against 30.0, +2.2 points (95 % interval +0.4 to +4.0 over the luck of training, 10 against 9 seeds on 2 "
            "folds; -1.0 to +5.4 over 96 people as well); this run could have detected 3.0 points for people with "
            "80 %.",
        ),
        (
            made(OPEN, "not shown"),
            made(wide(-0.02, 0.04, standard_error=0.02), "not shown", "people"),
            f"Neither on this test split nor f{PEOPLE}, was searching shown to pay against the published weights: test "
            f"mAP 31.0 against 30.0, +1.0 points (95 % interval -1.0 to +3.0 {SEEDS}; -2.0 to +4.0 over 96 people as "
            "well); this run could have detected 3.0 points on this split and 5.9 points for people with 80 %.",
        ),
        (
            made(OPEN, "not shown", primary=False),
            made(wide(-0.02, 0.04, standard_error=0.02), "not tested", "people", primary=False),
            f"{SPLIT}, the champion was not shown to be above the published weights; f{PEOPLE}, this was not tested, "
            f"because an earlier comparison was not shown: test mAP 31.0 against 30.0, +1.0 points (95 % interval -1.0 "
            f"to +3.0 {SEEDS}; -2.0 to +4.0 over 96 people as well); this run could have detected 3.0 points on this "
            "split with 80 %.",
        ),
        (
            made(BELOW, "not shown"),
            made(wide(-0.055, -0.005), "not shown", "people"),
            f"{SPLIT} and f{PEOPLE}, the champion is below the published weights: test mAP 27.0 against 30.0, "
            f"-3.0 points (95 % interval -5.0 to -1.0 {SEEDS}; -5.5 to -0.5 over 96 people as well).",
        ),
        (
            made(BELOW, "not shown"),
            made(wide(-0.065, 0.005), "not shown", "people"),
            f"{SPLIT}, the champion is below the published weights; f{PEOPLE}, searching was not shown to pay against "
            "the published weights: test mAP 27.0 against 30.0, -3.0 points (95 % interval -5.0 to -1.0 "
            f"{SEEDS}; -6.5 to +0.5 over 96 people as well); this run could have detected 3.0 points for people with "
            "80 %.",
        ),
        (
            made(ABOVE, "not tested", primary=False),
            made(wide(0.001, 0.043), "not tested", "people", primary=False),
            f"{SPLIT} and f{PEOPLE}, the champion against the published weights was not tested, because an earlier "
            f"comparison was not shown: test mAP 32.2 against 30.0, +2.2 points (95 % interval +0.4 to +4.0 {SEEDS}; "
            "+0.1 to +4.3 over 96 people as well).",
        ),
        (
            made(replace(UNTESTED, seeds=(10, 1)), "not shown"),
            made(replace(UNTESTED, seeds=(10, 1), identities=96), "not shown", "people"),
            f"{SPLIT} and f{PEOPLE}, nothing can be claimed about the champion and the published weights, because a "
            "test takes two seeds of each: test mAP 30.0 against 30.0, +0.0 points.",
        ),
        (
            made(ABOVE, "shown"),
            made(replace(UNTESTED, identities=1), "not shown", "people"),
            f"{SPLIT}, the champion is above the published weights; f{PEOPLE}, nothing can be claimed, because a test "
            f"takes two people: test mAP 32.2 against 30.0, +2.2 points (95 % interval +0.4 to +4.0 {SEEDS}).",
        ),
        (
            made(UNTESTED, "not shown"),
            made(replace(UNTESTED, identities=96), "not shown", "people"),
            f"{SPLIT} and f{PEOPLE}, nothing can be claimed about the champion and the published weights, because "
            "there is no spread to test against: test mAP 30.0 against 30.0, +0.0 points.",
        ),
    ],
)
def test_sentences(split: Claim, people: Claim, words: str) -> None:
    assert in_words(split, people, WEIGHTS) == words


def test_an_end_near_nothing_shows_its_side() -> None:
    """`+0.0 to` would leave open whether the interval excludes 0."""
    assert interval(0.0002, 0.02) == "+0.02 to +2.0"
    assert interval(-0.00003, 0.02) == "-0.003 to +2.0"


def test_an_interval_names_its_level() -> None:
    assert [level(error) for error in (0.025, 0.02, 0.0125)] == ["95 %", "96 %", "97.5 %"]
    split = made(replace(ABOVE, error=0.0125), "shown")
    assert "(97.5 % interval" in in_words(split, made(wide(0.001, 0.043), "shown", "people"), WEIGHTS)


def test_the_order_begins_with_the_primary_comparison_and_takes_map_before_rank_1() -> None:
    names = ["a", "b"]
    fixed = [("a", "mAP"), ("b", "mAP"), ("a", "rank-1"), ("b", "rank-1")]
    assert [(each.other, each.metric) for each in planned_order(names, PlannedComparison("a", "mAP"))] == fixed
    moved = [(each.other, each.metric) for each in planned_order(names, PlannedComparison("b", "rank-1"))]
    assert moved == [("b", "rank-1"), *fixed[:3]]
    absent = [(each.other, each.metric) for each in planned_order(names, PlannedComparison("c", "mAP"))]
    assert absent == fixed, "nothing takes the place of what could not be trained"
