"""What a run, or a search that has not begun, says of its teacher on the validation split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from owkd.config import SPREAD, Config
from owkd.errors import CheckpointError
from search.teaching.lead import TeacherLead
from search.teaching.tables import TeachingTables
from search.teaching.words import figures_in_words, leads_in_words, verdict_in_words


def sentences_of_run(results: Path, config: Config) -> Iterator[str]:
    """The verdict and the lead of each member; before trial 1 is complete, what is known without it."""
    tables = TeachingTables(results)
    leads = tables.leads(spread_of(config))
    if leads:
        yield from filter(None, (verdict_in_words(leads), leads_in_words(leads)))
    else:
        yield from sentences_before(config, tables.figures())


def sentences_before(config: Config, figures: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Of teachers alone: figures by fold and member, and the leads that `owkd teacher train` left in their files."""
    recorded = recorded_leads(config)
    if words := figures_in_words(figures, known=bool(recorded)):
        yield words
    for fold, leads in recorded.items():
        yield f"{fold}, when the teacher was trained: {verdict_in_words(leads)} {leads_in_words(leads)}"


def recorded_leads(config: Config) -> dict[str, tuple[TeacherLead, ...]]:
    """By fold, of teachers that were set against a student when they were trained; files may be elsewhere by now."""
    from owkd.models.checkpoint import read_info

    found = {}
    for fold in config.data.folds if config.teacher.checkpoint else ():
        try:
            recorded = read_info(config.teacher.checkpoint_for(fold)).against_student
        except CheckpointError:
            continue
        if recorded:
            found[fold] = tuple(map(TeacherLead.of, recorded["leads"]))
    return found


def spread_of(config: Config) -> float:
    """What a single training's luck is taken to be: standard deviation of its mAP on one fold."""
    return config.retrain.spread or SPREAD
