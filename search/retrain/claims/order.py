"""Comparisons in a fixed order, each tested as long as those before it held.

One primary comparison, then the others, written down before the search: testing them in that order at the full error
each, and stopping at the first that is not shown, keeps the chance of any false statement at that error (Maurer,
Hothorn and Lehmacher 1995). The two kinds of claim answer two questions; each has an order and an error of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from search.power import ERROR
from search.retrain.claims.leads import Lead, lead_for_people, lead_on_split
from search.retrain.claims.scores import Scores

Kind = Literal["split", "people"]
"""on this test split, over the luck of training; for people of this kind"""
KINDS: tuple[Kind, ...] = get_args(Kind)

Status = Literal["shown", "not shown", "not tested"]
"""not tested: an earlier comparison was not shown, so that this one's figures are a description and no more"""

LEADS = {"split": lead_on_split, "people": lead_for_people}


@dataclass(frozen=True)
class Comparison:
    """What the champion is compared with, and in what.

    Attributes:
        other: name of the setting
    """

    other: str
    metric: str


@dataclass(frozen=True)
class Claim:
    """One comparison, of one kind, and whether it holds."""

    kind: Kind
    comparison: Comparison
    primary: bool
    lead: Lead
    status: Status


def claims_in_order(
    champion: Mapping[str, Scores],
    others: Mapping[str, Mapping[str, Scores]],
    order: Sequence[Comparison],
    error: float = ERROR,
) -> tuple[Claim, ...]:
    """Every comparison of `order`, first as claims on this split, then as claims for people.

    champion: scores by metric; others: the same by name. What could not be trained is left out of the order by who
    calls, before any figure is seen. Raises `ValueError` for an empty order and `KeyError` for what has no scores.
    """
    if not order:
        raise ValueError("order must name at least the primary comparison, but got none")
    result = []
    for kind in KINDS:
        leads = [LEADS[kind](champion[item.metric], others[item.other][item.metric], error) for item in order]
        result += [
            Claim(kind, item, item == order[0], lead, status)
            for item, lead, status in zip(order, leads, statuses(leads), strict=True)
        ]
    return tuple(result)


def statuses(leads: Sequence[Lead]) -> list[Status]:
    """Of leads in their order: shown up to the first that is not, and nothing is tested after that one."""
    result: list[Status] = []
    for lead in leads:
        held = all(status == "shown" for status in result)
        result.append("not tested" if not held else "shown" if lead.is_above else "not shown")
    return result
