"""A comparison as one sentence that a reader can quote: what holds on this test split, and what for people.

It rests on the intervals that stand in it, and says no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from search.retrain.claims.leads import Lead
from search.retrain.claims.order import Claim, Kind

WHERE: dict[Kind, str] = {
    "split": "on this test split",
    "people": "for people of this kind, looked up in this gallery",
}
CAVEAT = (
    "On this test split, chance is the luck of training alone: Welch's t-test over seeds, each a mean over folds. For "
    "people of this kind, chance is also who is looked for: other identities might have been. Training images and "
    "gallery are taken as they are, and nothing is said of other cameras or data sets. Comparisons are tested in an "
    "order that was fixed before the search, each only as long as all before it were shown; figures of what was not "
    "tested are a description."
)
"""what the sentences do not say of themselves; docs/claim.md has it in full"""

Outcome = Literal["above", "below", "open", "not tested", "untestable"]


def in_words(split: Claim, people: Claim, other: str) -> str:
    """One sentence about both claims of a comparison. `other`: its name within it, such as "the published weights"."""
    ours, theirs = outcome(split), outcome(people)
    if ours == theirs == "open":
        said = f"neither {WHERE['split']} nor {WHERE['people']}, was {_open(split, other)}"
    elif ours == theirs:
        said = f"{WHERE['split']} and {WHERE['people']}, {_alone(split, other)}"
    else:
        said = f"{WHERE['split']}, {_alone(split, other)}; {WHERE['people']}, {_after(ours, people, other)}"
    return f"{said[0].upper()}{said[1:]}: {_figures(split, people)}{_detectable(split, people)}."


def outcome(claim: Claim) -> Outcome:
    """What the interval of a claim allows to say."""
    if claim.lead.low is None:
        return "untestable"
    if claim.status == "not tested":
        return "not tested"
    return "above" if claim.status == "shown" else "below" if claim.lead.is_below else "open"


def points(fraction: float, *, signed: bool = True) -> str:
    """For people, in points: `+0.3`, `-1.2`; what rounds to nothing is `+0.0`."""
    value = round(100 * fraction, 1) + 0.0
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def interval(low: float, high: float) -> str:
    """In points. An end that rounds to 0 is given with as many digits as show on which side of 0 it is."""
    ends = []
    for end in (low, high):
        digits = next((digits for digits in (1, 2, 3) if round(100 * end, digits)), 1)
        ends.append(f"{round(100 * end, digits) + 0.0:+.{digits}f}")
    return f"{ends[0]} to {ends[1]}"


def level(error: float) -> str:
    """Of the interval that a one-sided test of this error rests on: `95 %`."""
    return f"{100 * (1 - 2 * error):.3g} %"


def intervals(errors: Mapping[int, float]) -> str:
    """Which intervals are shown. `errors`: one-sided, by the number of the look."""
    last = max(errors)
    shown = f"{level(errors[last])} intervals"
    if last > 1:
        shown += f" ({ordinal(last)} look, error {100 * errors[last]:.3g} %)"
    return shown if len(errors) == 1 else f"{shown}; what an earlier look showed keeps its own"


def ordinal(number: int) -> str:
    """In words as far as anybody will look."""
    words = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    return words[number - 1] if number <= len(words) else f"{number}th"


def _alone(claim: Claim, other: str) -> str:
    match outcome(claim):
        case "above" | "below" as side:
            return f"the champion is {side} {other}"
        case "open":
            pays, is_above = "searching was not shown to pay", "the champion was not shown to be above"
            return f"{pays} against {other}" if claim.primary else f"{is_above} {other}"
        case "not tested":
            return f"the champion against {other} was not tested, because an earlier comparison was not shown"
        case _:
            return f"nothing can be claimed about the champion and {other}, {_why_untestable(claim.lead)}"


def _open(claim: Claim, other: str) -> str:
    return f"searching shown to pay against {other}" if claim.primary else f"the champion shown to be above {other}"


def _after(before: Outcome, claim: Claim, other: str) -> str:
    """What follows upon another outcome of the claim on this split."""
    match outcome(claim):
        case "open" if before == "above":
            return "this was not shown"
        case "not tested":
            return "this was not tested, because an earlier comparison was not shown"
        case "untestable":
            return f"nothing can be claimed, {_why_untestable(claim.lead)}"
        case _:
            return _alone(claim, other)


def _figures(split: Claim, people: Claim) -> str:
    lead, wider = split.lead, people.lead
    figures = (
        f"test {split.comparison.metric} {points(lead.champion, signed=False)} against "
        f"{points(lead.other, signed=False)}, {points(lead.difference)} points"
    )
    if lead.low is None or lead.high is None:
        return figures
    ours, theirs = lead.seeds
    folds = f" on {lead.folds} folds" if lead.folds > 1 else ""
    sample = f"over the luck of training, {ours} against {theirs} seeds{folds}{_at(split.look, {1})}"
    figures += f" ({level(lead.error)} interval {interval(lead.low, lead.high)} {sample}"
    if wider.low is not None and wider.high is not None:
        figures += f"; {_wider(split, people)}{interval(wider.low, wider.high)} over {wider.identities} people as well"
    return f"{figures})"


def _wider(split: Claim, people: Claim) -> str:
    """What is told of the claim for people where it is of another look: then it has another lead, too."""
    if people.look == split.look:
        return ""
    lead = people.lead
    ours, theirs = lead.seeds
    seen = f"{points(lead.difference)} points{_at(people.look)}, {ours} against {theirs} seeds"
    return f"{seen}, {level(lead.error)} interval "


def _at(look: int, silent: Collection[int] = ()) -> str:
    return "" if look in silent else f", at the {ordinal(look)} look"


def _detectable(split: Claim, people: Claim) -> str:
    """Which leads the run could have shown, where it did not."""
    could = {claim.kind: claim.lead.detectable() for claim in (split, people) if outcome(claim) == "open"}
    found = {kind: points(lead, signed=False) for kind, lead in could.items() if lead is not None}
    short = {"split": "on this split", "people": "for people"}
    if not found:
        return ""
    return (
        "; this run could have detected "
        + " and ".join(f"{lead} points {short[kind]}" for kind, lead in found.items())
        + " with 80 %"
    )


def _why_untestable(lead: Lead) -> str:
    if min(lead.seeds) < 2:
        return "because a test takes two seeds of each"
    if lead.identities is not None and lead.identities < 2:
        return "because a test takes two people"
    return "because there is no spread to test against"
