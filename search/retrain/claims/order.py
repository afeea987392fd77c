"""Comparisons in a fixed order, each tested as long as those before it held.

One primary comparison, then the others, written down before the search: testing them in that order at the full error
each, and stopping at the first that is not shown, keeps the chance of any false statement at that error (Maurer,
Hothorn and Lehmacher 1995). The two kinds of claim answer two questions; each has an order and an error of its own.

Several looks: each comparison is tested at each look with the error of that look (`search.power.looks`), as long as all
before it were shown at this look or at an earlier one. What was shown stays shown. The first comparison in the order
that does not hold is claimed at most as often as all looks together err, and those after it are claimed only with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from search.power import error_of_look
from search.retrain.claims.leads import Lead, lead_for_people, lead_on_split
from search.retrain.claims.scores import Scores

Kind = Literal["split", "people"]
"""on this test split, over the luck of training; for people of this kind"""
KINDS: tuple[Kind, ...] = get_args(Kind)

Status = Literal["shown", "not shown", "not tested"]
"""not tested: an earlier comparison was not shown, so that this one's figures are a description and no more"""

METRICS = ("mAP", "rank-1")

LEADS = {"split": lead_on_split, "people": lead_for_people}


@dataclass(frozen=True)
class PlannedComparison:
    """What the champion is compared with, and in what: named before any figure is seen.

    Attributes:
        other: name of the setting
    """

    other: str
    metric: str


@dataclass(frozen=True)
class Claim:
    """One comparison, of one kind, and whether it holds.

    Attributes:
        lead: of the look, with the interval that the status rests on
        look: at which it was shown, or else the last one
    """

    kind: Kind
    comparison: PlannedComparison
    primary: bool
    lead: Lead
    status: Status
    look: int = 1


def planned_order(others: Sequence[str], primary: PlannedComparison) -> list[PlannedComparison]:
    """The primary comparison, then the others: with each of `others` in mAP, then in rank-1.

    others: those that the champion can be compared with. What could not be trained is left out, and so is, where it is
    the primary one, that comparison.
    """
    everything = [PlannedComparison(name, metric) for metric in METRICS for name in others]
    first = [primary] if primary in everything else []
    return first + [comparison for comparison in everything if comparison != primary]


def claims_in_order(
    champion: Mapping[str, Scores],
    others: Mapping[str, Mapping[str, Scores]],
    order: Sequence[PlannedComparison],
    primary: PlannedComparison,
    look: int = 1,
    earlier: Sequence[Claim] = (),
) -> tuple[Claim, ...]:
    """Every comparison of `order`, first as claims on this split, then as claims for people.

    champion: scores by metric; others: the same by name. No other comparison takes the place of a `primary` one that
    is not in the order. Those that were shown at `earlier` looks stay as they were. Raises `KeyError` for what has no
    scores.
    """
    error = error_of_look(look)
    shown = {(claim.kind, claim.comparison): claim for claim in earlier}
    result = []
    for kind in KINDS:
        before = [shown.get((kind, item)) for item in order]
        leads = [
            claim.lead if claim else LEADS[kind](champion[item.metric], others[item.other][item.metric], error)
            for item, claim in zip(order, before, strict=True)
        ]
        result += [
            Claim(kind, item, item == primary, lead, status, claim.look if claim else look)
            for item, claim, lead, status in zip(order, before, leads, statuses(leads), strict=True)
        ]
    return tuple(result)


def by_comparison(claims: Sequence[Claim]) -> list[tuple[Claim, Claim]]:
    """The claims on this split with those for people, in the order of the comparisons."""
    split, people = ([claim for claim in claims if claim.kind == kind] for kind in KINDS)
    return list(zip(split, people, strict=True))


def statuses(leads: Sequence[Lead]) -> list[Status]:
    """Of leads in their order: shown up to the first that is not, and nothing is tested after that one."""
    result: list[Status] = []
    for lead in leads:
        held = all(status == "shown" for status in result)
        result.append("not tested" if not held else "shown" if lead.is_above else "not shown")
    return result
