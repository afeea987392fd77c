"""How far a teacher is ahead of a student that learned without it, and how surely.

The sample is people (identities, with all of their queries, in whichever folds they are looked for) and the student's
trainings; the teacher is one, and taken as it is. The interval is difference -+ t(df) * sqrt(V), where

    V = I / (I - 1) * sum_i u_i^2 + L    u_i: identity i's part in the difference, a mean over queries, then folds
    L = sd^2 / S of S seeds              their own spread from two seeds on; of a single one the stated `spread`

and df is Satterthwaite's (1946). What one training does to one identity is in both parts, so V errs on the large side.

Legend: F folds, S seeds of the student, Q queries of a fold, I identities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from search.power import ERROR

ENSEMBLE = "gce"
"""the member whose embedding is the ensemble's: what a student is evaluated by, and what the verdict rests on"""

Verdict = Literal["ahead", "within the noise", "behind", "unknown"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TeacherLead:
    """Of one member of the ensemble, in mAP on one split. Figures are fractions, not points.

    Attributes:
        teacher: mean over folds
        student: without distillation; mean over folds and seeds
        low: end of the 95 % interval of the difference; None where fewer than two people are looked for
    """

    member: str
    teacher: float
    student: float
    identities: int
    seeds: int
    low: float | None = None
    high: float | None = None

    @property
    def difference(self) -> float:
        """Teacher - student."""
        return self.teacher - self.student

    @property
    def verdict(self) -> Verdict:
        """What the interval allows to say."""
        if self.low is None or self.high is None:
            return "unknown"
        return "ahead" if self.low > 0 else "behind" if self.high < 0 else "within the noise"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `of` takes them back."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TeacherLead:
        """From plain values."""
        return cls(**values)


def teacher_lead(
    member: str,
    identities: Sequence[NDArray[np.int64]],
    teacher: Sequence[Floats],
    student: Sequence[Floats],
    spread: float,
    error: float = ERROR,
) -> TeacherLead:
    """The lead of one member.

    identities: for each fold (Q,); teacher: for each fold (Q,) average precision; student: for each fold (S, Q);
    spread: standard deviation of a training's mAP on one fold, for a student of a single seed. `error` is one-sided.
    """
    people = np.unique(np.concatenate(list(identities)))
    folds, seeds = len(identities), len(student[0])
    per_seed = np.mean([values.mean(1) for values in student], axis=0)
    influence = np.zeros(len(people))
    for who, ours, theirs in zip(identities, teacher, student, strict=True):
        differences = ours - theirs.mean(0)
        centred = (differences - differences.mean()) / (len(who) * folds)
        np.add.at(influence, np.searchsorted(people, who), centred)
    lead = TeacherLead(
        member,
        teacher=float(np.mean([values.mean() for values in teacher])),
        student=float(per_seed.mean()),
        identities=len(people),
        seeds=seeds,
    )
    if len(people) < 2:
        return lead
    across = len(people) / (len(people) - 1) * float(np.square(influence).sum())
    luck = float(per_seed.var(ddof=1)) / seeds if seeds > 1 else spread**2 / folds
    parts = [(across, len(people) - 1)]
    if seeds > 1:
        parts.append((luck, seeds - 1))  # a stated spread is taken as known
    half = _half_width(across + luck, parts, error)
    low, high = lead.difference - half, lead.difference + half
    return TeacherLead(member, lead.teacher, lead.student, lead.identities, seeds, low, high)


def _half_width(variance: float, parts: Sequence[tuple[float, int]], error: float) -> float:
    from scipy.special import ndtri, stdtrit  # a second of imports

    below = sum(part**2 / degrees for part, degrees in parts)
    quantile = stdtrit(variance**2 / below, 1 - error) if below > 0 else ndtri(1 - error)
    return float(quantile * variance**0.5)


class Scores(Protocol):
    """As `owkd.training.members.MemberScores`."""

    @property
    def identities(self) -> NDArray[np.int64]: ...

    @property
    def average_precision(self) -> Floats: ...


def leads_on_fold(
    teacher: Mapping[str, Scores], student: Mapping[str, Scores], spread: float
) -> tuple[TeacherLead, ...]:
    """The lead of each member over one training of a student, on the same split."""
    return tuple(
        teacher_lead(
            member,
            [own.identities],
            [own.average_precision],
            [student[member].average_precision[None]],
            spread,
        )
        for member, own in teacher.items()
    )
