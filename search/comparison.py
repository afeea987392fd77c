"""The final table: teacher, no distillation, published weights and champion on the test split, in numbers and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

TEACHER = "teacher"
NO_DISTILLATION_NAME = "no distillation"
PUBLISHED = "published weights"
CHAMPION = "champion"

IN_WORDS = {PUBLISHED: "the published weights", NO_DISTILLATION_NAME: "training without distillation"}


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over folds and seeds."""

    mean: float
    std: float | None
    """None for a single value"""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.4f}" if self.std is None else f"{self.mean:.4f} ± {self.std:.4f}"


@dataclass(frozen=True)
class ComparisonRow:
    """One line of the table."""

    name: str
    detail: str
    """which trial a champion is"""
    mean_average_precision: Spread
    rank_1: Spread
    parameters: int
    models: int
    """how many models the means are over"""


@dataclass(frozen=True)
class Comparison:
    """What the final stage found."""

    rows: tuple[ComparisonRow, ...]
    validation: tuple[tuple[str, Spread], ...]
    """every retrained configuration, champion first, with the metric that chose it"""
    notes: tuple[str, ...]

    def row(self, name: str) -> ComparisonRow | None:
        """The line of that name, if it could be measured."""
        return next((row for row in self.rows if row.name == name), None)

    def verdict(self) -> list[str]:
        """In plain words, how the champion stands to the two baselines on the test split."""
        champion = self.row(CHAMPION)
        assert champion is not None
        words = []
        for name in (PUBLISHED, NO_DISTILLATION_NAME):
            other = self.row(name)
            if other is None:
                words.append(f"There is no comparison with {IN_WORDS[name]}: none of its models could be trained.")
            elif champion.detail == name:
                words.append(f"The champion is {IN_WORDS[name]}: the search has no other complete trial.")
            else:
                words.append(_compare(champion, other))
        return words

    def render(self) -> RenderableType:
        """The table, and the verdict below it."""
        table = Table(title="Test split, opened once", title_justify="left", title_style="bold")
        table.add_column("model", no_wrap=True)
        for name in ("test mAP", "rank-1", "parameters", "models"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self.rows:
            name = f"{row.name} ({row.detail})" if row.detail else row.name
            numbers = (str(row.mean_average_precision), str(row.rank_1), f"{row.parameters / 1e6:.2f} M")
            table.add_row(name, *numbers, str(row.models), style="bold" if row.name == CHAMPION else "")
        return Group(table, *(Text(words) for words in (*self.verdict(), *self.notes)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        return {
            "test": [
                {
                    "model": row.name,
                    "detail": row.detail,
                    "mAP_mean": row.mean_average_precision.mean,
                    "mAP_std": row.mean_average_precision.std,
                    "rank-1_mean": row.rank_1.mean,
                    "rank-1_std": row.rank_1.std,
                    "parameters": row.parameters,
                    "models": row.models,
                }
                for row in self.rows
            ],
            "validation": [
                {"configuration": name, "mean": spread.mean, "std": spread.std} for name, spread in self.validation
            ],
            "verdict": self.verdict(),
        }


def _compare(champion: ComparisonRow, other: ComparisonRow) -> str:
    ours, theirs = champion.mean_average_precision, other.mean_average_precision
    difference = ours.mean - theirs.mean
    beats = "beats" if difference > 0 else "does not beat"
    spread = max((value for value in (ours.std, theirs.std) if value is not None), default=None)
    within = spread is not None and abs(difference) <= spread
    doubt = "; the difference is within one standard deviation" if within else ""
    return f"The champion {beats} {IN_WORDS[other.name]}: test mAP {ours} against {theirs} ({difference:+.4f}){doubt}."
