"""`owkd doctor RUN`: the files of a run that are not whole, what to do about each, and their repair."""

from __future__ import annotations

import shlex

from launch.output.console import console
from owkd.errors import OwkdError, UserError
from search.checkup import CheckedFile, examine, is_sound, keep_torn_journal, repair
from search.runs.layout import RunFolder
from search.runs.lock import lock_run
from search.runs.manifest import locate_run


def check_run(run: str, *, mend: bool = False) -> None:
    """Reads every file of a run and prints what is not whole; with `mend`, repairs what can be.

    Raises `UserError` where there is no run, and for a repair of one that is driven; `OwkdError` where a file is not
    whole at the end.
    """
    folder = locate_run(run, drive=mend)
    if not any(path.exists() for path in (folder.manifest, folder.journal, folder.results)):
        raise UserError(f"a run must hold run.yaml and study.journal, but {run} has neither; give the folder of a run")
    runs = [each for each in (folder, folder.control) if each.root.is_dir()]
    if mend:
        for each in runs:
            keep_torn_journal(each)
        with lock_run(folder):
            files = tuple(file for each in runs for file in repair(each))
    else:
        files = tuple(file for each in runs for file in examine(each).files)
    _print(folder, run, files)


def _print(folder: RunFolder, run: str, files: tuple[CheckedFile, ...]) -> None:
    for file in files:
        if file.state != "whole":
            remedy = file.remedy.replace("RUN", shlex.quote(run))
            line = f"{file.state}: {file.path.relative_to(folder.root)} {file.reason}" + (remedy and f"; {remedy}")
            console.print(line, soft_wrap=True, markup=False)
    if not is_sound(files):
        unsound = sum(file.state not in ("whole", "repaired") for file in files)
        raise OwkdError(f"{unsound} of {len(files)} files of {run} are not whole; each is named above with its remedy")
    repaired = sum(file.state == "repaired" for file in files)
    note = f", {repaired} of them repaired; what they were is beside them or in damaged/" if repaired else ""
    console.print(f"{run}: all {len(files)} files are whole{note}", soft_wrap=True, markup=False)
