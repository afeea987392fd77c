"""The study of a run as far as its journal is whole, read without a change to it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from owkd.config import Config, upgraded
from owkd.errors import ConfigError
from search.runs.damage import DamagedRunError, reading
from search.runs.layout import RunFolder
from search.space import parse_search_config
from search.study.journal import open_journal, parsed
from search.study.study import Study
from search.trials.view import TrialView


@dataclass(frozen=True)
class KnownStudy:
    """What a journal says.

    Attributes:
        damaged_lines: numbers from 1, of lines that are no record or not the one that was written
        is_torn: whether its last line does not end
        problem: why the trials cannot be known; None where they are
        began_with: the configuration that the trials are made of; None where it is not known
        views: all trials that were handed out
        unknown: trials that left results and are none of these
    """

    damaged_lines: tuple[int, ...] = ()
    is_torn: bool = False
    problem: str | None = None
    began_with: Mapping[str, Any] | None = None
    views: Mapping[int, TrialView] = field(default_factory=dict)
    unknown: tuple[int, ...] = ()


def read_study(folder: RunFolder, config: Config | None, recorded: Collection[int]) -> KnownStudy:
    """The study of a run whose configuration is `config`, or where it cannot be read, that of the study itself.

    recorded: numbers of trials that left results
    """
    lines = list(_lines(folder.journal))
    if not lines:
        state = "is empty" if folder.journal.is_file() else "is missing"
        return KnownStudy(
            problem=f"{state}, although there are results of {len(recorded)} trials" if recorded else None
        )
    known = KnownStudy(
        tuple(number for number, line in enumerate(lines, 1) if line.endswith(b"\n") and parsed(line) is None),
        not lines[-1].endswith(b"\n"),
    )
    with tempfile.TemporaryDirectory(prefix="owkd-doctor-") as scratch:
        copy = Path(scratch) / folder.journal.name  # whoever opens a study adds a line to its journal
        shutil.copyfile(folder.journal, copy)
        try:
            known = replace(known, began_with=_configuration(copy))
            config = config or parse_search_config(upgraded(known.began_with or {}), "the study")
            views = {view.number: view for view in Study(copy, folder.name, config).views()}
        except DamagedRunError as error:
            return replace(known, problem=error.reason)
        except ConfigError as error:
            return replace(known, problem=f"holds no configuration that can be used: {error}")
    return replace(known, views=views, unknown=tuple(sorted(set(recorded) - views.keys())))


def _configuration(journal: Path) -> Mapping[str, Any] | None:
    storage = open_journal(journal)
    with reading(journal):
        found = [study.user_attrs.get("config") for study in optuna.get_all_study_summaries(storage)]
    return next(iter(found), None)


def _lines(journal: Path) -> Iterator[bytes]:
    if journal.is_file():
        with journal.open("rb") as file:
            yield from file
