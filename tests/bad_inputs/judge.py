"""Whether a case comes out as it should: a list of what is wrong, empty when it is clear."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from tests.bad_inputs.cases import LIMIT_S, Case
from tests.bad_inputs.commands import Commands, Ended
from tests.bad_inputs.world import prepare

LONGEST = 40
"""lines of a message that a person still reads"""


def judged(case: Case, world: Path, place: Path, commands: Commands) -> list[str]:
    """Runs a case in the empty folder `place`. Each of its commands starts from what the one before left: nothing."""
    folder, temporary = place / "here", place / "tmp"
    folder.mkdir()
    temporary.mkdir()
    prepare(case, world, folder)
    before = _files(folder)
    env = {"TMPDIR": str(temporary), "COLUMNS": "200", **case.env}
    wrong = []
    for command in case.commands:
        ended = commands.run(command[1:], folder, env, LIMIT_S, fresh=case.fresh)
        left = [name for name in sorted(_files(folder) - before) if not _may_stay(name, case)]
        left += [f"$TMPDIR/{name}" for name in sorted(_files(temporary))]
        if complaints := _complaints(case, ended, left):
            wrong.append(f"{' '.join(command)}: {'; '.join(complaints)}\n{ended.text[-1500:]}")
    return wrong


def _complaints(case: Case, ended: Ended, left: list[str]) -> list[str]:
    said = " ".join(ended.text.split())
    found = []
    if ended.code is None:
        found.append(f"did not end in {LIMIT_S:.0f} s")
    elif ended.code != case.exit:
        found.append(f"exit code {ended.code}, not {case.exit}")
    if "Traceback" in said:
        found.append("a traceback")
    if len(ended.text.splitlines()) > LONGEST:
        found.append(f"{len(ended.text.splitlines())} lines of text")
    found += [f"does not say {words!r}" for words in case.says if words not in said]
    if left:
        found.append(f"leaves {', '.join(left[:5])}{' and more' if len(left) > 5 else ''}")
    return found


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _may_stay(name: str, case: Case) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in case.leaves)
