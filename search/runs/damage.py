"""Damage to the files of a run: whatever reads one, what is wrong becomes one message with file, line and remedy."""

from __future__ import annotations

import json
import shlex
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from owkd.errors import OwkdError, UserError
from owkd.files import written_whole
from search.storage.mirror import CONTROL, INDEX

MANIFEST, JOURNAL = "run.yaml", "study.journal"
SUM = "crc32"
"""key of a JSON record: the checksum of the others"""
SHOWN = 160
"""characters of a reader's own words"""


class DamagedRunError(UserError):
    """A file of a run is damaged, empty or missing.

    Attributes:
        file: the file
        reason: what is wrong with it, after its name
        line: of a text file, counted from 1; None where it is not known
    """

    def __init__(self, file: Path, reason: str, line: int | None = None) -> None:
        self.file = file
        self.reason = reason
        self.line = line
        place = f"{file}, line {line}," if line else str(file)
        super().__init__(
            f"the files of a run must be whole, but {place} {reason}; restore it from a copy, or see what can be "
            f"repaired: owkd doctor {_run_of(file)}"
        )


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Whatever goes wrong in the block is damage to `file`, but for a file that is not there, or not to be read.

    Raises `DamagedRunError`, `UserError`, and `FileNotFoundError` as it comes: a file may be replaced at any moment.
    """
    try:
        yield
    except (OwkdError, FileNotFoundError):
        raise
    except PermissionError as error:
        raise UserError(f"a run must be readable, but {file} is not ({error.strerror}); see to its rights") from error
    except Exception as error:
        raise DamagedRunError(file, why_unreadable(file, error)) from error


def why_unreadable(file: Path, error: Exception) -> str:
    """What is wrong with a file, given what its reader raised."""
    if file.is_file() and not file.stat().st_size:
        return "is empty"
    words = " ".join(str(error).split()) or type(error).__name__
    return f"is damaged ({words[:SHOWN]})"


def write_json(file: Path, plain: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Writes a record, or several, whole, each with a checksum of itself."""
    summed = _with_sum(plain) if isinstance(plain, Mapping) else [_with_sum(record) for record in plain]
    with written_whole(file) as temporary:
        temporary.write_text(json.dumps(summed, indent=2), encoding="utf-8")


def read_json(file: Path) -> Any:
    """What `write_json` wrote, or an earlier version, without sums. Raises `DamagedRunError`, `FileNotFoundError`."""
    with reading(file):
        plain = json.loads(file.read_text(encoding="utf-8"))
        for record in plain if isinstance(plain, list) else [plain]:
            if record.pop(SUM, None) not in (None, _sum(record)):
                raise ValueError("it is not what was written: its checksum is another one")
        return plain


def _with_sum(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, SUM: _sum(record)}


def _sum(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"


def _run_of(file: Path) -> str:
    """The run around a file, as a command takes it: RUN where the file is a copy of what lies in a store."""
    runs = [folder for folder in file.parents if any((folder / name).exists() for name in (MANIFEST, JOURNAL))]
    if not runs:
        return "RUN"
    run = runs[1] if len(runs) > 1 and runs[0].name == CONTROL else runs[0]
    return "RUN" if (run / INDEX).exists() else shlex.quote(str(run))
