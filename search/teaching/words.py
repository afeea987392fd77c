"""What may be said of a teacher, from its leads and its figures: the only place with these sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.teaching.lead import ENSEMBLE, TeacherLead

REMEDIES = "train the teacher longer, on more images, from ImageNet weights or with augmentation; or do not distil"
STUDENT_WORDS = "a student without distillation"


def verdict_in_words(leads: Sequence[TeacherLead], metric: str = "validation mAP") -> str:
    """One sentence: whether there is anything to distil. It rests on the whole ensemble; "" where it has no lead."""
    lead = next((lead for lead in leads if lead.member == ENSEMBLE), None)
    if lead is None:
        return ""
    figures = f"{metric} {_points(lead.teacher)} against {_points(lead.student)}, {_signed(lead.difference)} points"
    if lead.low is None or lead.high is None:
        return f"Whether there is anything to distil cannot be said of so few people: {figures}."
    interval = f"95 % interval {_signed(lead.low)} to {_signed(lead.high)} over {_sample(lead)}"
    match lead.verdict:
        case "ahead":
            return f"This teacher has something to teach: it is ahead of {STUDENT_WORDS}, {figures} ({interval})."
        case "behind":
            why = f"There is nothing to distil: this teacher is behind {STUDENT_WORDS}"
        case _:
            why = f"There may be nothing to distil: this teacher's lead over {STUDENT_WORDS} is within the noise"
    return f"{why}, {figures} ({interval}). {REMEDIES[0].upper()}{REMEDIES[1:]}."


def leads_in_words(leads: Sequence[TeacherLead]) -> str:
    """The lead of each member, a description beside the verdict; "" where there is none."""
    each = []
    for lead in leads:
        interval = "" if lead.low is None or lead.high is None else f", {_signed(lead.low)} to {_signed(lead.high)}"
        each.append(
            f"{lead.member} {_signed(lead.difference)} "
            f"({_points(lead.teacher)} against {_points(lead.student)}{interval})"
        )
    return f"Its lead by member, in points of mAP: {'; '.join(each)}." if each else ""


def figures_in_words(figures: Mapping[str, Mapping[str, float]], known: bool = False) -> str:
    """mAP by fold and member -> one sentence for before a student is there to compare with; "" for no figures.

    known: whether a lead stands beside it
    """
    if not figures:
        return ""
    folds = "; ".join(
        f"{fold} " + ", ".join(f"{member} {_points(value)}" for member, value in members.items())
        for fold, members in figures.items()
    )
    later = "" if known else f" Whether that is more than {STUDENT_WORDS} learns, trial 1 of a search says at its end."
    return f"Teacher, validation mAP by member: {folds}.{later}"


def _sample(lead: TeacherLead) -> str:
    seeds = "the stated luck of one training" if lead.seeds == 1 else f"the luck of {lead.seeds} trainings"
    return f"{lead.identities} people and {seeds}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _signed(fraction: float) -> str:
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"
