"""The figures of bench_search: what each rival lost, who won, and the budget to equal quality; with corrected tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks import measure
from benchmarks.landscapes import LANDSCAPES
from benchmarks.rivals import YARDSTICK, Outcome

Task = tuple[str, str, int]
"""landscape, rival, seed"""
LEVEL = 0.05
Key = TypeVar("Key")


@dataclass(frozen=True)
class Comparison:
    """The first rival against another, seed by seed.

    Attributes:
        gains: what the other lost of the optimum minus what the first lost
        p: of Wilcoxon's signed-rank test, two-sided, after Holm's correction
    """

    gains: tuple[float, ...]
    p: float

    @property
    def wins(self) -> int:
        return sum(gain > 0 for gain in self.gains)

    @property
    def losses(self) -> int:
        return sum(gain < 0 for gain in self.gains)

    @property
    def sign(self) -> str:
        """`+` where the first is better beyond chance, `-` where it is worse; nothing else."""
        if self.p >= LEVEL:
            return ""
        return "+" if self.wins > self.losses else "-"


class Figures:
    """All outcomes, by landscape, rival and seed."""

    def __init__(self, found: Mapping[Task, Outcome], rivals: Sequence[str]) -> None:
        """`rivals`: the first of them is compared with each other one."""
        self.found = found
        self.rivals = rivals
        self.landscapes = [name for name in LANDSCAPES if any(task[0] == name for task in found)]
        self.seeds = sorted({seed for _, _, seed in found})
        self.optima = {
            (name, seed): LANDSCAPES[name].drawn(seed).optimum() for name in self.landscapes for seed in self.seeds
        }

    def lost(self, landscape: str, rival: str) -> dict[int, float]:
        """Share of the optimum that a search lost, by seed; nothing where the rival cannot search the landscape."""
        return {
            seed: 1 - self.found[landscape, rival, seed].worth / self.optima[landscape, seed]
            for seed in self.seeds
            if (landscape, rival, seed) in self.found
        }

    def budgets(self, landscape: str, rival: str) -> list[float]:
        """Share of the budget that each seed's search needs for what the yardstick reaches with all of it."""
        shares = []
        for seed in self.seeds:
            own, other = (self.found.get((landscape, name, seed)) for name in (rival, YARDSTICK))
            if own is not None and other is not None:
                needed = own.epochs_to(other.worth)
                budget = LANDSCAPES[landscape].drawn(seed).budget
                shares.append(math.inf if needed is None else needed / budget)
        return shares

    def number_of_seeds(self, rival: str) -> int:
        """On how many seeds it searched."""
        return len({seed for _, name, seed in self.found if name == rival})

    def comparisons(self) -> dict[tuple[str, str], Comparison]:
        """The first rival against each other one, by landscape and rival; p-values corrected over all of them."""
        gains = {
            (landscape, name): found
            for name in self.rivals[1:]
            for landscape in self.landscapes
            if (found := self._gains(landscape, name))
        }
        return corrected(gains)

    def everywhere(self) -> dict[str, Comparison]:
        """The same over all landscapes together, by rival; p-values corrected over rivals."""
        gains = {name: [each for at in self.landscapes for each in self._gains(at, name)] for name in self.rivals[1:]}
        return corrected(gains)

    def _gains(self, landscape: str, other: str) -> list[float]:
        """By seed, in shares of the optimum."""
        here, there = self.lost(landscape, self.rivals[0]), self.lost(landscape, other)
        return [there[seed] - here[seed] for seed in here if seed in there]


def corrected(gains: Mapping[Key, Sequence[float]]) -> dict[Key, Comparison]:
    """Comparisons of these gains, which are tested together."""
    p_values = holm([signed_rank(each) for each in gains.values()])
    return {key: Comparison(tuple(each), p) for (key, each), p in zip(gains.items(), p_values, strict=True)}


def signed_rank(gains: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's test that gains are symmetric around 0; 1 where all are 0."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(gains).pvalue) if any(gains) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): that all of these tests together err in `LEVEL` of cases."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, reached = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = reached
    return corrected


def line(figures: Figures, landscape: str, rival: str) -> str:
    """One rival on one landscape."""
    lost, shares = figures.lost(landscape, rival), figures.budgets(landscape, rival)
    text = f"{landscape:13} {rival:24} lost {percent(statistics.median(lost.values()))} of the optimum in the median"
    return f"{text}, budget to {YARDSTICK}: {share(shares)}" if shares else text


def report(figures: Figures) -> str:
    """The section."""
    compared = figures.comparisons()
    first = figures.rivals[0]
    parts = [
        f"Seeds {figures.seeds[0]} to {figures.seeds[-1]}. Lost of the optimum in the median over seeds, by landscape; "
        f"+ and - where {first} is better or worse than that rival (Wilcoxon signed-rank, Holm over all "
        f"{len(compared)} comparisons, {LEVEL:.0%}):",
        _lost_table(figures, compared),
        f"{first} against each, all landscapes together (p as above, Holm over rivals); the median share of the budget "
        f"for what {YARDSTICK} reaches with all of it; and the processor's time for all proposals of a search:",
        _budget_table(figures, figures.everywhere()),
    ]
    worse = [f"{rival} on {landscape}" for (landscape, rival), each in compared.items() if each.sign == "-"]
    better = sum(each.sign == "+" for each in compared.values())
    parts.append(
        f"{first} is significantly better in {better} of {len(compared)} comparisons, "
        f"worse {'nowhere' if not worse else 'than ' + ', '.join(worse)}."
    )
    least = 2.0 ** (1 - len(figures.seeds)) * len(compared)
    if least >= LEVEL:
        parts.append(f"That says nothing: on so few seeds no corrected p can be below {least:.2f}.")
    return "\n\n".join(parts)


def _lost_table(figures: Figures, compared: Mapping[tuple[str, str], Comparison]) -> str:
    rows = []
    for rival in figures.rivals:
        cells = []
        for landscape in figures.landscapes:
            lost = figures.lost(landscape, rival)
            sign = compared[landscape, rival].sign if (landscape, rival) in compared else ""
            cells.append(f"{percent(statistics.median(lost.values()))} {sign}".strip() if lost else "")
        rows.append([rival, str(figures.number_of_seeds(rival)), *cells])
    return measure.table(["", "seeds", *figures.landscapes], rows)


def _budget_table(figures: Figures, compared: Mapping[str, Comparison]) -> str:
    rows = []
    for rival in figures.rivals:
        against = compared.get(rival)
        wins = f"{against.wins} : {against.losses}" if against else ""
        p = _small(against.p) if against else ""
        by_landscape = [figures.budgets(landscape, rival) for landscape in figures.landscapes]
        figured = map(share, ([each for shares in by_landscape for each in shares], *by_landscape))
        proposing = [outcome.proposing for (_, name, _), outcome in figures.found.items() if name == rival]
        rows.append([rival, wins, p, *figured, measure.duration(statistics.fmean(proposing))])
    return measure.table(["", "wins", "p", "budget", *figures.landscapes, "proposing"], rows)


def percent(value: float) -> str:
    """With one decimal."""
    return f"{100 * value:.1f} %"


def share(shares: Sequence[float]) -> str:
    """The median of shares of a budget; `> 1` where most never came so far."""
    if not shares:
        return ""
    middle = statistics.median_high(shares)
    return "> 1" if math.isinf(middle) else f"{middle:.2f}"


def _small(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
