"""The result of the final stage, as a table and in words: the champion beside the teacher and the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.retrain.significance import ADJUSTMENT, CAVEAT, LEVEL, METHOD, PairedTest, p_text, points

TEACHER = "teacher"
NO_DISTILLATION_NAME = "no distillation"
PUBLISHED = "published weights"
CHAMPION = "champion"

BASELINES = (PUBLISHED, NO_DISTILLATION_NAME)
NO_OTHER = "no other trial of the search is complete and keeps its constraints"
IN_WORDS = {PUBLISHED: "the published weights", NO_DISTILLATION_NAME: "training without distillation"}


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over folds and seeds.

    Attributes:
        std: None for a single value
    """

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.4f}" if self.std is None else f"{self.mean:.4f} ± {self.std:.4f}"


@dataclass(frozen=True)
class ComparisonRow:
    """One line of the table.

    Attributes:
        detail: which trial a champion is
        models: how many models the means are over
    """

    name: str
    detail: str
    mean_average_precision: Spread
    rank_1: Spread
    parameters: int
    models: int

    @classmethod
    def of(cls, name: str, detail: str, tests: Sequence[Mapping[str, float]]) -> ComparisonRow:
        """Of the test metrics of at least one model."""
        mean_average_precision, rank_1 = (Spread.of([test[metric] for test in tests]) for metric in ("mAP", "rank-1"))
        return cls(name, detail, mean_average_precision, rank_1, int(tests[0]["parameters"]), len(tests))


@dataclass(frozen=True)
class Comparison:
    """The result of the final stage.

    Attributes:
        tests: the champion against each baseline in each metric, adjusted
        validation: every retrained configuration, champion first, with the metric that chose it
    """

    rows: tuple[ComparisonRow, ...]
    tests: tuple[PairedTest, ...]
    validation: tuple[tuple[str, Spread], ...]
    notes: tuple[str, ...]

    def row(self, name: str) -> ComparisonRow | None:
        """The line of that name, if it could be measured."""
        return next((row for row in self.rows if row.name == name), None)

    def verdict(self) -> list[str]:
        """In plain words, how the champion stands to the two baselines on the test split, and how sure that is."""
        champion = self.row(CHAMPION)
        assert champion is not None
        words = []
        for name in BASELINES:
            tests = [test for test in self.tests if test.baseline == name]
            if champion.detail == name:
                words.append(f"The champion is {IN_WORDS[name]}: {NO_OTHER}.")
            elif not tests:
                words.append(f"There is no comparison with {IN_WORDS[name]}: none of its models could be trained.")
            words.extend(test.in_words(IN_WORDS[name]) for test in tests)
        return words

    def render(self) -> RenderableType:
        """The tables, and the verdict below them."""
        parts: list[RenderableType] = [self._models()]
        if self.tests:
            parts.append(self._tests())
        parts.extend(Text(words) for words in self.verdict())
        if self.tests:
            parts.append(Text(CAVEAT, style="dim"))
        return Group(*parts, *(Text(words) for words in self.notes))

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
            "paired_tests": {
                "method": METHOD,
                "adjustment": ADJUSTMENT,
                "interval_level": LEVEL,
                "caveat": CAVEAT,
                "results": [asdict(test) for test in self.tests],
            },
            "validation": [
                {"configuration": name, "mean": spread.mean, "std": spread.std} for name, spread in self.validation
            ],
            "verdict": self.verdict(),
            "notes": list(self.notes),
        }

    def _models(self) -> Table:
        table = Table(title="Test split, opened once", title_justify="left", title_style="bold")
        table.add_column("model", no_wrap=True)
        for name in ("test mAP", "rank-1", "params", "models"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self.rows:
            name = f"{row.name} ({row.detail})" if row.detail else row.name
            numbers = (str(row.mean_average_precision), str(row.rank_1), f"{row.parameters / 1e6:.2f} M")
            table.add_row(name, *numbers, str(row.models), style="bold" if row.name == CHAMPION else "")
        return table

    def _tests(self) -> Table:
        table = Table(title="The champion against each baseline, in points", title_justify="left", title_style="bold")
        table.add_column("against", no_wrap=True)
        table.add_column("metric", no_wrap=True)
        for name in ("difference", f"{LEVEL:.0%} interval".replace("%", " %"), f"p ({ADJUSTMENT})", "pairs"):
            table.add_column(name, justify="right", no_wrap=True)
        for test in self.tests:
            interval = "-"
            if test.low is not None and test.high is not None:
                interval = f"{points(test.low)} to {points(test.high)}"
            p_value = p_text(test.adjusted).removeprefix("p ").removeprefix("= ") if test.adjusted is not None else "-"
            difference = points(test.difference)
            table.add_row(test.baseline, test.metric, difference, interval, p_value, str(test.pairs))
        return table
