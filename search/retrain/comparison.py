"""The result of the final stage: the champion beside the teacher and the baselines, and what may be claimed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from search.retrain.claims import CAVEAT, Claim, PlannedComparison, by_comparison, in_words
from search.teaching import TeacherLead, verdict_in_words
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED

TEACHER = "teacher"
CHAMPION = "champion"
CONTROL = "control"
MATCHED = ", champion's training"
"""what the name of a baseline ends with that trains as the champion does"""

NO_OTHER = "no other trial of the search is complete and keeps its constraints"
IN_WORDS = {
    PUBLISHED: "the published weights",
    NO_DISTILLATION_NAME: "training without distillation",
    f"{PUBLISHED}{MATCHED}": "the published weights with the champion's training",
    f"{NO_DISTILLATION_NAME}{MATCHED}": "the champion's training without distillation",
    CONTROL: "the best of random trials of the same cost",
}


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
        claims: of each comparison that could be made, in the order of their tests; on this split, then for people
        primary: the comparison that was declared before the search
        planned: names of all that the champion was to be compared with
        validation: every retrained configuration, champion first, with the metric that chose it
        design: what the run can say at all, and what it cannot, in sentences
        teacher: its lead over the models without distillation; None where none of these could be trained
    """

    rows: tuple[ComparisonRow, ...]
    claims: tuple[Claim, ...]
    primary: PlannedComparison
    planned: tuple[str, ...]
    validation: tuple[tuple[str, Spread], ...]
    notes: tuple[str, ...]
    design: tuple[str, ...] = ()
    teacher: TeacherLead | None = None

    def row(self, name: str) -> ComparisonRow | None:
        """The line of that name, if it could be measured."""
        return next((row for row in self.rows if row.name == name), None)

    def headline(self) -> str:
        """What holds of the primary comparison, in one sentence."""
        found = next((each for each in by_comparison(self.claims) if each[0].primary), None)
        return self._missing(self.primary.other) if found is None else in_words(*found, called(self.primary.other))

    def missing(self) -> list[str]:
        """Comparisons that were planned besides the primary one and could not be made, each with its reason."""
        made = {claim.comparison.other for claim in self.claims}
        return [self._missing(name) for name in self.planned if name not in (*made, self.primary.other)]

    def others(self) -> list[str]:
        """A sentence on each comparison that is not the primary one, in the order of their tests."""
        pairs = (pair for pair in by_comparison(self.claims) if not pair[0].primary)
        return [in_words(*pair, called(pair[0].comparison.other)) for pair in pairs]

    def teaching(self) -> str:
        """Whether there was anything to distil; "" where nothing is known of it."""
        return verdict_in_words([self.teacher], "test mAP") if self.teacher else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        return {
            "headline": self.headline(),
            "missing": self.missing(),
            "others": self.others(),
            "design": list(self.design),
            "notes": list(self.notes),
            "teaching": self.teaching(),
            "caveat": CAVEAT,
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
            "claims": [
                {
                    "kind": claim.kind,
                    "against": claim.comparison.other,
                    "metric": claim.comparison.metric,
                    "primary": claim.primary,
                    "status": claim.status,
                    "look": claim.look,
                    **asdict(claim.lead),
                    "difference": claim.lead.difference,
                }
                for claim in self.claims
            ],
            "validation": [
                {"configuration": name, "mean": spread.mean, "std": spread.std} for name, spread in self.validation
            ],
        }

    def _missing(self, name: str) -> str:
        champion = self.row(CHAMPION)
        if champion is not None and champion.detail == name:
            return f"The champion is {called(name)}: {NO_OTHER}, so searching led to nothing that could be compared."
        return (
            f"There is no comparison of the champion with {called(name)}: none of its seeds could be trained on every "
            "fold."
        )


def called(name: str) -> str:
    """A setting's name within a sentence."""
    return IN_WORDS.get(name, name)
