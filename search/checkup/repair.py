"""Repairs a run's files, as far as others still know what was in them. Nothing is deleted.

What is replaced is set aside first: `study.journal.damaged` beside the journal, everything else in `damaged/`, under
the path that it had in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from owkd.config import upgraded
from owkd.files import written_whole
from search.checkup.examine import ANEW, RESUME, RETRAIN, CheckedFile, Examination, examine
from search.luck.seeds import Seeds
from search.results.listener import TrialTable
from search.results.parquet import read_table
from search.results.schema import Row, grouped
from search.results.tables import ResultTables, read_epochs
from search.runs.damage import DamagedRunError
from search.runs.layout import RunFolder, trial_name
from search.runs.manifest import restore_manifest
from search.space import columns, parse_search_config
from search.study.journal import mended
from search.trials.job import Part, parts_of
from search.trials.view import TrialView

ASIDE = "damaged"
"""the folder within a run"""


def repair(folder: RunFolder) -> tuple[CheckedFile, ...]:
    """Repairs what can be -> every file, with its state afterwards. Only for the holder of the run."""
    repaired: dict[Path, CheckedFile] = {}
    for step in (_repair_journal, _repair_manifest, _repair_tables, _repair_others):
        before = examine(folder)
        for file in step(folder, before):
            repaired[file.path] = replace(file, state="repaired")
    after = {file.path: file for file in examine(folder).files}
    unsound = {path for path, file in after.items() if file.state != "whole"}
    return tuple((after | {path: file for path, file in repaired.items() if path not in unsound}).values())


def keep_torn_journal(folder: RunFolder) -> None:
    """Sets a copy of a journal aside that does not end with a line's end; whoever takes the run up cuts it."""
    if folder.journal.is_file() and (text := folder.journal.read_bytes()) and not text.endswith(b"\n"):
        _keep_journal(folder, text)


def _repair_journal(folder: RunFolder, run: Examination) -> Iterator[CheckedFile]:
    journal, lines = folder.journal, run.study.damaged_lines
    if not lines:
        return
    text = journal.read_bytes()
    kept = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        whole = line if number not in lines else mended(line)
        if whole is None and number != max(lines):
            return  # others follow, which were written with this one known
        kept.append(whole or b"")
    if kept[-1] == b"" or all(kept):
        _keep_journal(folder, text)
        with written_whole(journal) as temporary:
            temporary.write_bytes(b"".join(kept))
        yield CheckedFile(journal, reason=f"was damaged in line {', '.join(map(str, lines))}")


def _repair_manifest(folder: RunFolder, run: Examination) -> Iterator[CheckedFile]:
    file = next(file for file in run.files if file.path == folder.manifest)
    began_with = run.study.began_with
    if file.state not in ("damaged", "missing") or began_with is None:
        return
    config = parse_search_config(upgraded(began_with), "the study")
    _set_aside(folder, [folder.manifest])
    restore_manifest(folder, config)
    note = "versions and digests of data and teachers are lost: go on with owkd resume RUN --force"
    yield CheckedFile(folder.manifest, reason=file.reason, remedy=note)


def _repair_tables(folder: RunFolder, run: Examination) -> Iterator[CheckedFile]:
    """Files with wrong or lost rows are set aside; what the study knows of their trials is written again."""
    wrong = [file for file in run.files if file.state != "whole" and file.path.is_relative_to(folder.results)]
    wrong = [file for file in wrong if {file.path.name, file.path.parent.name} & {"trials", "epochs"}]
    if not (wrong or run.study.unknown) or run.config is None or run.study.problem is not None:
        return
    parts = parts_of(run.config)
    tables = ResultTables(folder.results, columns(run.config), run.config.search.judged_metrics, len(parts))
    for file in wrong:
        if file.path.is_file():
            sound = _rows_by_trial(file) if file.path.parent.name == "epochs" else {}
            _set_aside(folder, [file.path])
            for number, rows in sound.items():
                tables.write_epochs(number, rows)
        yield replace(file, remedy="")
    _set_aside(folder, [place / trial_name(number) for number in run.study.unknown for place in _places(folder)])
    with_rows = set(read_epochs(folder.results)["trial"].to_pylist())
    for view in run.study.views.values():
        if view.state != "running" and view.last_step and view.number not in with_rows:
            again = parts if view.look == 1 else parts_of(run.config, Seeds.of(run.config).look(view.look))
            tables.write_epochs(view.number, list(_rows_of_study(view, again)))
    TrialTable(tables).repair(run.study.views.values())
    tables.finish()


def _rows_by_trial(file: CheckedFile) -> dict[int, list[Row]]:
    """The sound rows of a table's file, of which others are wrong; none of one that cannot be read."""
    try:
        rows = read_table(file.path).to_pylist()
    except DamagedRunError:
        return {}
    return grouped((row for row in rows if row["trial"] not in file.trials), "trial")


def _rows_of_study(view: TrialView, parts: Sequence[Part]) -> Iterator[Row]:
    """A trial's epochs, of which a study knows what the scheduler compared, and no metric."""
    for step, objective in sorted(view.curve.items()):
        part = parts[(step - 1) // view.part_epochs]
        yield {
            "trial": view.number,
            "attempt": view.attempt,
            "fold": part.fold,
            "seed": part.seed,
            "epoch": (step - 1) % view.part_epochs + 1,
            "step": step,
            "objective": objective,
        }


def _repair_others(folder: RunFolder, run: Examination) -> Iterator[CheckedFile]:
    """What a stage makes again when it is damaged is set aside, so that it does."""
    for file in run.files:
        if file.state == "damaged" and file.remedy in (RETRAIN, RESUME, ANEW):
            record = [file.path.with_name("metrics.json")] if file.path.name == "best.safetensors" else []
            _set_aside(folder, [file.path, *record])  # a model with a record is taken to be done
            yield replace(file, remedy=f"it is set aside; {file.remedy}")


def _places(folder: RunFolder) -> tuple[Path, ...]:
    return folder.tensorboard, folder.checkpoints, folder.panels


def _keep_journal(folder: RunFolder, text: bytes) -> None:
    with written_whole(_unused(folder.journal.with_name(f"{folder.journal.name}.damaged"))) as temporary:
        temporary.write_bytes(text)


def _set_aside(folder: RunFolder, paths: Iterable[Path]) -> None:
    for path in paths:
        if path.exists():
            place = _unused(folder.root / ASIDE / path.relative_to(folder.root))
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)


def _unused(path: Path) -> Path:
    """The path itself, or with a number after it, where something was set aside before."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in count(2))
    return next(each for each in chain([path], numbered) if not each.exists())
