"""What may be said of a teacher."""

from __future__ import annotations

import pytest

from search.teaching.lead import ENSEMBLE, TeacherLead
from search.teaching.words import figures_in_words, leads_in_words, verdict_in_words


def lead(low: float | None, high: float | None, member: str = ENSEMBLE, teacher: float = 0.5) -> TeacherLead:
    return TeacherLead(member, teacher, 0.45, identities=12, seeds=1, low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "begins"),
    [
        (
            0.01,
            0.09,
            "This teacher has something to teach: it is ahead of a student without distillation, validation mAP 50.0 "
            "against 45.0, +5.0 points (95 % interval +1.0 to +9.0 over 12 people and the stated luck of one "
            "training).",
        ),
        (
            -0.01,
            0.11,
            "There may be nothing to distil: this teacher's lead over a student without distillation is within the "
            "noise, ",
        ),
        (-0.2, -0.1, "There is nothing to distil: this teacher is behind a student without distillation, "),
        (None, None, "Whether there is anything to distil cannot be said of so few people: "),
    ],
)
def test_the_verdict_follows_the_interval(low: float | None, high: float | None, begins: str) -> None:
    said = verdict_in_words([lead(low, high)])
    assert said.startswith(begins)
    nothing = "nothing to distil: " in begins
    assert ("train the teacher longer, on more images, from imagenet weights or with augmentation" in said.lower()) or (
        not nothing
    )
    assert ("or do not distil" in said) == nothing


def test_the_verdict_is_the_ensembles() -> None:
    assert verdict_in_words([lead(0.01, 0.09, "original"), lead(-0.1, 0.1)]).startswith(
        "There may be nothing to distil"
    )
    assert verdict_in_words([lead(0.01, 0.09, "original")]) == ""


def test_each_member_is_told() -> None:
    assert leads_in_words([lead(-0.01, 0.11, "original"), lead(None, None)]) == (
        "Its lead by member, in points of mAP: original +5.0 (50.0 against 45.0, -1.0 to +11.0); "
        "gce +5.0 (50.0 against 45.0)."
    )
    assert leads_in_words([]) == ""


def test_figures_stand_alone_before_there_is_a_student() -> None:
    said = figures_in_words({"Fold1": {"original": 0.5, "gce": 0.625}})
    assert said.startswith(
        "Teacher, validation mAP by member: Fold1 original 50.0, gce 62.5. Whether that is more than "
    )
    assert figures_in_words({"Fold1": {"gce": 0.5}}, known=True).endswith("gce 50.0.")
    assert figures_in_words({}) == ""
