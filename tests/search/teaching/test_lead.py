"""The lead of a teacher: by hand, and how often its interval covers the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from search.teaching.lead import ENSEMBLE, TeacherLead, teacher_lead

PEOPLE = np.array([7, 7, 3, 5])


def lead_of(differences: list[float], spread: float) -> TeacherLead:
    """A student that scores 0.25 everywhere, and a teacher that is so far ahead on each query."""
    student = np.full((1, 4), 0.25)
    return teacher_lead(ENSEMBLE, [PEOPLE], [0.25 + np.array(differences)], [student], spread)


def test_it_is_a_mean_over_queries_with_people_as_the_sample() -> None:
    lead = lead_of([0.1, 0.3, 0.2, 0.4], spread=0.0)
    assert (lead.teacher, lead.student, lead.difference) == pytest.approx((0.5, 0.25, 0.25))
    assert (lead.identities, lead.seeds) == (3, 1)
    # parts of identities 3, 5, 7 in the mean of four queries: -0.05/4, 0.15/4, (-0.15 + 0.05)/4
    error = (3 / 2 * ((0.05 / 4) ** 2 + (0.15 / 4) ** 2 + (0.10 / 4) ** 2)) ** 0.5
    half = t.ppf(0.975, 2) * error
    assert (lead.low, lead.high) == pytest.approx((0.25 - half, 0.25 + half))


def test_the_luck_of_a_single_training_is_the_stated_one() -> None:
    same = lead_of([0.1, 0.1, 0.1, 0.1], spread=0.02)
    half = norm.ppf(0.975) * 0.02
    assert (same.low, same.high) == pytest.approx((0.1 - half, 0.1 + half))
    two_folds = teacher_lead(ENSEMBLE, [PEOPLE] * 2, [np.full(4, 0.35)] * 2, [np.full((1, 4), 0.25)] * 2, spread=0.02)
    assert two_folds.high == pytest.approx(0.1 + half / 2**0.5)


def test_the_luck_of_several_trainings_is_their_own() -> None:
    students = np.array([[0.2] * 4, [0.3] * 4])
    lead = teacher_lead(ENSEMBLE, [PEOPLE], [np.full(4, 0.35)], [students], spread=99.0)
    half = t.ppf(0.975, 1) * 0.05  # standard error of 0.2 and 0.3
    assert (lead.low, lead.high) == pytest.approx((0.1 - half, 0.1 + half))


@pytest.mark.parametrize(
    ("difference", "verdict"), [(0.1, "ahead"), (0.01, "within the noise"), (0.0, "within the noise"), (-0.1, "behind")]
)
def test_the_interval_decides(difference: float, verdict: str) -> None:
    assert lead_of([difference] * 4, spread=0.015).verdict == verdict


def test_a_single_person_allows_no_verdict() -> None:
    one = teacher_lead(ENSEMBLE, [np.array([4, 4])], [np.array([0.5, 0.7])], [np.array([[0.1, 0.2]])], 0.015)
    assert (one.low, one.verdict) == (None, "unknown")
    assert one.difference == pytest.approx(0.45)


def test_it_survives_plain_values() -> None:
    lead = lead_of([0.1, 0.3, 0.2, 0.4], spread=0.015)
    assert TeacherLead.of(lead.to_dict()) == lead


def test_a_teacher_that_is_no_better_is_called_ahead_in_one_case_of_forty(rng: np.random.Generator) -> None:
    """30 people of 5 queries, a training's luck as stated: 2.5 % of 2,000 are 50, and three standard errors 21."""
    people, spread = np.repeat(np.arange(30), 5), 0.015
    ahead = 0
    for _ in range(2000):
        person = rng.normal(0, 0.1, 30)[people]
        teacher = 0.5 + person + rng.normal(0, 0.1, 150)
        student = 0.5 + rng.normal(0, 0.1, 150) + rng.normal(0, spread)
        ahead += teacher_lead(ENSEMBLE, [people], [teacher], [student[None]], spread).verdict == "ahead"
    assert 25 <= ahead <= 71
