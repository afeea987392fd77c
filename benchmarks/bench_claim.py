"""How often the final stage claims what is not so, how often its intervals cover, and how often it finds what is there.

`claim_world` simulates runs; see there for what they are made of. A share of 2 % over 8,000 runs has a standard error
of 0.16 points, over 2,000 runs of 0.31, and the line of all searches together a third of that; one of 96 % has 0.22
and 0.44. A third of all lines may be that far off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
from numpy.random import Generator

from benchmarks import measure
from benchmarks.claim_world import Design, Found, before, looked, simulated
from owkd.config import parse_config
from search.power import ERROR, FIRST_LOOK, SeedCount, seed_count
from search.power.welch import power_of
from search.retrain.claims import Lead, level

COMMAND = "python -m benchmarks.bench_claim"
REPEATS = 8000
QUICK = 200
INTERACTION = 0.5
SEARCHES = tuple(Design(trials, top_k) for trials in (20, 100, 300) for top_k in (1, 3, 10))
SAMPLES = (
    *(Design(trials=20, seeds=seeds, interaction=INTERACTION) for seeds in (3, 5, 11, 20)),
    Design(trials=20, identities=20, interaction=INTERACTION),
    Design(trials=20, identities=200, interaction=1.5),
    Design(trials=20, seeds=5, identities=30, folds=2, interaction=INTERACTION),
    *(Design(trials=20, seeds=seeds, interaction=INTERACTION, skewed=True) for seeds in (5, 11)),
)
SPREADS = (0.01, 0.015, 0.025)
"""standard deviations of a training's mAP"""
LEADS = (0.01, 0.02, 0.03)
PLANS = (*((lead, sd, 1) for sd in SPREADS for lead in LEADS), (0.02, 0.015, 2))
"""true lead, standard deviation of a training, folds"""
ALARM_COLUMNS = (
    *("trials", "top k", "(a) split", "(b) people", "(b), interaction 0.5 sd"),
    *("(a) read as (b), interaction 0.5 sd", "final stage before"),
)
POWER_COLUMNS = ("sd of a training", "folds", "seeds", "detectable", "true lead", "promised", "shown")
LOOKS = (((11, 22, 44), 0.0), ((11, 13, 15), 0.0), ((3, 4, 5), 0.0), ((11, 22, 44), 1.0))
"""test seeds of each look, and the true lead"""


def shares(design: Design, repeats: int, row: int, held: Mapping[str, Callable[[Found], bool]]) -> dict[str, float]:
    """How often each of these holds. `row` tells the random numbers of one line from another's."""
    rows = np.array(
        [[holds(found) for holds in held.values()] for found in map(partial(simulated, design), streams(repeats, row))]
    )
    return dict(zip(held, rows.mean(0).tolist(), strict=True))


def streams(repeats: int, row: int) -> list[Generator]:
    """Random numbers for each run of a line."""
    return [np.random.default_rng(sequence) for sequence in np.random.SeedSequence(row).spawn(repeats)]


def false_alarms(repeats: int, design: Design, row: int) -> dict[str, float]:
    """Shares of runs that claim a lead where all settings are equally good.

    `split` and `people` without any interaction; `people, interaction` with one; `split for people` is what the claim
    on the split would be worth if it were read as one for people.
    """
    plain = {"split": lambda found: found.on_split.is_above, "people": lambda found: found.for_people.is_above}
    with_interaction = {
        "people, interaction": lambda found: found.for_people.is_above,
        "split for people": lambda found: found.on_split.is_above,
    }
    result = shares(design, repeats, row, plain)
    result |= shares(replace(design, interaction=INTERACTION), repeats, row + 1000, with_interaction)
    return result | {"before": float(np.mean([before(design, rng) for rng in streams(repeats, row + 2000)]))}


def coverage(design: Design, repeats: int, row: int) -> dict[str, float]:
    """How often the two intervals contain the lead that they are about."""
    return shares(
        design,
        repeats,
        row,
        {
            "split": lambda found: covers(found.on_split, found.true_on_split),
            "people": lambda found: covers(found.for_people, design.lead),
        },
    )


def covers(lead: Lead, true: float) -> bool:
    """Whether the interval contains a value."""
    return lead.low is not None and lead.high is not None and lead.low <= true <= lead.high


def power(plan: tuple[float, float, int], repeats: int, row: int) -> tuple[SeedCount, float, float]:
    """What `owkd plan` says of a final stage -> with what power it promises a lead, and what comes true."""
    lead, sd, folds = plan
    names = [f"Fold{number}" for number in range(folds)]
    count = seed_count(parse_config({"data": {"root": "", "dataset": "", "folds": names}, "retrain": {"spread": sd}}))
    design = Design(trials=20, seeds=count.seeds, folds=folds, lead=lead / sd)
    kept = shares(design, repeats, row, {"split": lambda found: found.on_split.is_above})
    return count, power_of(lead, count.seeds, sd / folds**0.5, FIRST_LOOK), kept["split"]


def looks(repeats: int, plan: tuple[Sequence[int], float], row: int) -> dict[str, float]:
    """Shares of runs that have claimed a lead after each look, and what else is worth knowing of several looks."""
    seeds, lead = plan
    design = Design(trials=20, lead=lead)
    rows = []
    for rng in streams(repeats, row):
        claims, naive, true = looked(design, rng, seeds)
        split = [each[0] for each in claims]
        shown = [claim.status == "shown" for claim in split]
        rows.append([*shown, any(each.is_above for each in naive), covers(split[-1].lead, true)])
    apart = replace(design, interaction=INTERACTION)
    people = [looked(apart, rng, seeds)[0][-1][1].status == "shown" for rng in streams(repeats, row + 1000)]
    columns = [f"(a) after look {number}" for number in range(1, len(seeds) + 1)]
    columns += ["(a), each look at 2.5 %", "interval told covers"]
    found = dict(zip(columns, np.mean(rows, axis=0).tolist(), strict=True))
    return found | {"(b) after look 3, interaction 0.5 sd": float(np.mean(people))}


def report(repeats: int, workers: int = 1) -> str:
    """The section: four tables. Lines are computed by so many processes."""
    start = time.monotonic()
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        every = pool.map if pool else map
        alarms = list(every(partial(false_alarms, repeats), SEARCHES, count()))
        intervals = list(every(partial(coverage_line, repeats), SAMPLES, count(100)))
        promised = list(every(partial(power_line, repeats), PLANS, count(200)))
        several = list(every(partial(looks, repeats), LOOKS, count(300)))
    searches = [(f"{design.trials}", f"{design.top_k}") for design in SEARCHES]
    together = {name: float(np.mean([line[name] for line in alarms])) for name in alarms[0]}
    shown = [
        [*search, *map(percent, line.values())]
        for search, line in zip([*searches, ("all", "all")], [*alarms, together], strict=True)
    ]
    seeds, identities = SEARCHES[0].seeds, SEARCHES[0].identities
    sizes = f"{seeds} test seeds, {identities} identities"
    return "\n\n".join(
        [
            f"{repeats:,} simulated runs a line, in {measure.duration(time.monotonic() - start)}.",
            f"False alarms of the first look, all settings equally good, one-sided, {100 * FIRST_LOOK:g} % promised "
            f"({sizes}; before: 3 seeds, the first of them the search's, the champion chosen on the tested models):",
            measure.table(ALARM_COLUMNS, shown),
            f"Coverage of the {level(FIRST_LOOK)} intervals of the first look (20 trials, top 3):",
            measure.table(["test sample", "(a) split", "(b) people"], intervals),
            "Power of claim (a) with the seeds that a smallest lead of 2 points takes; all in points:",
            measure.table(POWER_COLUMNS, promised),
            "Several looks, each taken whatever the one before it showed: runs that have claimed a lead, "
            f"{100 * ERROR:g} % promised after all; and the interval that is told, {level(ERROR)} promised (20 trials, "
            "top 3):",
            measure.table(["test seeds", "true lead, sd", *several[0]], list(map(looks_line, LOOKS, several))),
        ]
    )


def coverage_line(repeats: int, design: Design, row: int) -> list[str]:
    """Of the second table."""
    return [described(design), *map(percent, coverage(design, repeats, row).values())]


def power_line(repeats: int, plan: tuple[float, float, int], row: int) -> list[str]:
    """Of the third table."""
    lead, sd, folds = plan
    count, said, kept = power(plan, repeats, row)
    detectable = f"{100 * (count.detectable or 0):.2f}"
    return [f"{100 * sd:g}", f"{folds}", f"{count.seeds}", detectable, f"{100 * lead:g}", percent(said), percent(kept)]


def looks_line(plan: tuple[Sequence[int], float], found: Mapping[str, float]) -> list[str]:
    """Of the fourth table."""
    seeds, lead = plan
    return [", then ".join(map(str, seeds)), f"{lead:g}", *map(percent, found.values())]


def described(design: Design) -> str:
    """A line's test sample."""
    skewed = ", skewed, 1 to 15 queries each" if design.skewed else ""
    folds = f" on each of {design.folds} folds" if design.folds > 1 else ""
    return f"{design.seeds} seeds, {design.identities} identities{folds}, interaction {design.interaction:g} sd{skewed}"


def percent(fraction: float) -> str:
    """For the tables."""
    return f"{100 * fraction:.2f} %"


def main() -> None:
    """Command line."""
    parser = measure.parser(__doc__ or "")
    parser.add_argument("--repeats", type=int, help=f"simulated runs a line (default: {REPEATS}; quick: {QUICK})")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a CPU)")
    arguments = parser.parse_args()
    repeats = arguments.repeats or (QUICK if arguments.quick else REPEATS)
    command = measure.command(COMMAND, arguments) + (f" --repeats {arguments.repeats}" if arguments.repeats else "")
    measure.publish("bench_claim", report(repeats, arguments.workers), command, None, arguments.record)


if __name__ == "__main__":
    main()
