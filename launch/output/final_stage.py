"""The result of the final stage on the console: one sentence, one picture, the table of means, then the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.retrain.claims import CAVEAT, Claim, by_comparison, interval, intervals, points
from search.retrain.comparison import CHAMPION, Comparison

PICTURE = 19
"""characters that an interval is drawn in"""


def final_stage_page(comparison: Comparison) -> RenderableType:
    """All of it."""
    parts: list[RenderableType] = [Text(comparison.headline(), style="bold"), Text("")]
    if comparison.claims:
        parts += [_claims(comparison.claims), Text("")]
    said = (comparison.teaching(), *comparison.missing(), *comparison.notes, *comparison.design)
    parts += [_models(comparison), *map(Text, filter(None, said))]
    if comparison.claims:
        parts.append(Text(CAVEAT, style="dim"))
    return Group(*parts)


def _claims(claims: Sequence[Claim]) -> Table:
    """Two lines a comparison, on this split and for people; what was not tested is dim."""
    last = max(claim.look for claim in claims)
    shown = intervals({claim.look: claim.lead.error for claim in claims})
    heading = f"The champion's lead in points, with {shown}"
    table = Table(title=heading, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    table.add_column("against", overflow="fold", min_width=len("published weights"))
    for name in ("claim", "lead", "interval"):
        table.add_column(name, no_wrap=True, justify="left" if name == "claim" else "right")
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    ends = _ends(claims)
    for pair in by_comparison(claims):
        comparison = pair[0].comparison
        for name, claim in zip((comparison.other, f"  in {comparison.metric}"), pair, strict=True):
            lead = claim.lead
            found = lead.low is not None and lead.high is not None
            table.add_row(
                name,
                claim.kind,
                points(lead.difference),
                interval(lead.low, lead.high) if lead.low is not None and lead.high is not None else "-",
                interval_line(claim, *ends),
                _status(claim, last) if found else "no test",
                style="dim" if claim.status == "not tested" else "",
            )
    return table


def _status(claim: Claim, last: int) -> str:
    return claim.status if claim.look == last else f"{claim.status}, look {claim.look}"


def interval_line(claim: Claim, lowest: float, highest: float) -> str:
    """The interval of a claim as characters between two ends: `|` is zero, `*` the lead."""

    def place(value: float) -> int:
        return round((value - lowest) / ((highest - lowest) or 1) * (PICTURE - 1))

    line = [" "] * PICTURE
    if claim.lead.low is not None and claim.lead.high is not None:
        for at in range(place(claim.lead.low), place(claim.lead.high) + 1):
            line[at] = "-"
    line[place(0.0)] = "|"
    line[place(claim.lead.difference)] = "*"
    return "".join(line)


def _ends(claims: Sequence[Claim]) -> tuple[float, float]:
    """Of the picture: all intervals, and zero."""
    values = [0.0, *_values(claims)]
    return min(values), max(values)


def _values(claims: Sequence[Claim]) -> Iterator[float]:
    for claim in claims:
        yield from (end for end in (claim.lead.difference, claim.lead.low, claim.lead.high) if end is not None)


def _models(comparison: Comparison) -> Table:
    table = Table(title="Test split", title_justify="left", title_style="bold")
    table.add_column("model", overflow="fold")
    for name in ("test mAP", "rank-1", "params", "models"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparison.rows:
        name = f"{row.name} ({row.detail})" if row.detail else row.name
        numbers = (str(row.mean_average_precision), str(row.rank_1), f"{row.parameters / 1e6:.2f} M")
        table.add_row(name, *numbers, str(row.models), style="bold" if row.name == CHAMPION else "")
    return table
