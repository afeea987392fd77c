"""A claim as one sentence that a reader can quote. It rests on the interval that stands in it, and says no more."""

from __future__ import annotations

from search.retrain.claims.leads import Lead
from search.retrain.claims.order import Claim, Kind

WHERE: dict[Kind, str] = {
    "split": "On this test split",
    "people": "For people of this kind, looked up in this gallery",
}


def in_words(claim: Claim, other: str) -> str:
    """One sentence. `other` is the setting's name within it, such as "the published weights"."""
    lead, metric = claim.lead, claim.comparison.metric
    where = WHERE[claim.kind]
    figures = f"test {metric} {points(lead.champion, signed=False)} against {points(lead.other, signed=False)}"
    if lead.low is None or lead.high is None:
        return f"{where}, nothing can be claimed about the champion and {other}: {figures}, {_why_untested(lead)}."
    figures += f", {points(lead.difference)} points ({_interval(lead)} {_sample(lead)})"
    if claim.status == "not tested":
        return f"{where}, the champion against {other} was not tested, because an earlier comparison failed: {figures}."
    if claim.status == "shown":
        return f"{where}, the champion is above {other}: {figures}."
    if lead.is_below:
        return f"{where}, the champion is below {other}: {figures}."
    pays = "searching was not shown to pay" if claim.primary else "the champion was not shown to be better"
    could = lead.detectable()
    assert could is not None
    return (
        f"{where}, {pays} against {other}: {figures}; this run could have detected "
        f"{points(could, signed=False)} points with 80 %."
    )


def points(fraction: float, *, signed: bool = True) -> str:
    """For people, in points: `+0.3`, `-1.2`; what rounds to nothing is `+0.0`."""
    value = round(100 * fraction, 1) + 0.0
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def _interval(lead: Lead) -> str:
    """An end that rounds to 0 is given with as many digits as show on which side of 0 it is."""
    assert lead.low is not None
    assert lead.high is not None
    ends = []
    for end in (lead.low, lead.high):
        digits = next((digits for digits in (1, 2, 3) if round(100 * end, digits)), 1)
        ends.append(f"{round(100 * end, digits) + 0.0:+.{digits}f}")
    return f"{100 * (1 - 2 * lead.error):.3g} % interval {ends[0]} to {ends[1]}"


def _sample(lead: Lead) -> str:
    ours, theirs = lead.seeds
    trainings = f"the luck of training, {ours} against {theirs} seeds"
    if lead.folds > 1:
        trainings += f" on {lead.folds} folds"
    return f"over {trainings}" if lead.identities is None else f"over {lead.identities} people and {trainings}"


def _why_untested(lead: Lead) -> str:
    if min(lead.seeds) < 2:
        return "but a test takes two seeds of each"
    if lead.identities is not None and lead.identities < 2:
        return "but a test takes two people"
    return "but there is no spread to test against"
