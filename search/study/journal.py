"""The study's journal: Optuna's own, a line a record, in which every line carries a checksum of itself.

    {"op_code":4,"worker_id":"...","trial_id":7,...,"crc32":"9ae0f1b3"}

The sum is of the line without it. Optuna passes over a key that it does not know, so that others read the file as
before; lines without a sum, as earlier versions wrote them, are taken as they are. A last line that does not end is one
that is being written, or was when its driver died: it is nobody's yet.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from operator import ne
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from owkd.errors import OwkdError
from search.runs.damage import DamagedRunError, why_unreadable

SUM = "crc32"
"""key of a line's checksum, its last one"""
SUMMED = re.compile(rb'(.*),"crc32":"([0-9a-f]{8})"\}', flags=re.DOTALL)
SUM_LENGTH = 20
"""bytes of a line from the comma before its sum on"""


LONGEST_MENDED = 1 << 14
"""bytes of a line that are tried one by one"""


class JournalFile(JournalFileBackend):
    """A journal that adds a checksum to each record, and verifies it.

    Attributes:
        line: the number of the last one that was read, from 1
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.line = 0
        self._path = path
        self._starts = [0]
        """offsets of the lines that are known, and of the one that follows them"""
        self._waiting: list[dict[str, Any]] | None = None
        """records of a group that are not in the file yet"""

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is recorded meanwhile goes to the disk at the end, at once: one wait for it instead of one a record,
        and a driver that is killed leaves nothing of it, or all."""
        if self._waiting is not None:
            yield
            return
        self._waiting = []
        try:
            yield
        finally:
            waiting, self._waiting = self._waiting, None
            if waiting:
                super().append_logs(waiting)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes records, each with its sum."""
        summed = [{**log, SUM: _sum(json.dumps(log, separators=(",", ":")).encode())} for log in logs]
        if self._waiting is None:
            super().append_logs(summed)
        else:
            self._waiting += summed

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The records from that number on. Raises `DamagedRunError` with the line of the first that is damaged."""
        yield from self._in_the_file(log_number_from)
        ahead = max(0, log_number_from - (len(self._starts) - 1))
        yield from (self._waiting or [])[ahead:]

    def _in_the_file(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        first = min(log_number_from, len(self._starts) - 1)  # lines that waited were read, but had no place yet
        with self._path.open("rb") as file:
            file.seek(self._starts[first])
            for number, line in enumerate(file, first + 1):
                if not line.endswith(b"\n"):
                    return
                self.line = number
                record = parsed(line)
                if record is None:
                    raise DamagedRunError(self._path, "is damaged", number)
                if number == len(self._starts):
                    self._starts.append(self._starts[-1] + len(line))
                if number > log_number_from:
                    yield record


class Journal(JournalStorage):
    """Optuna's storage on a journal.

    Attributes:
        file: the journal
    """

    def __init__(self, file: JournalFile) -> None:
        super().__init__(file)
        self.file = file


def open_journal(journal: Path, recorded: Collection[int] = ()) -> Journal:
    """The study of a journal; `recorded` are the numbers of trials that left results.

    Raises `DamagedRunError` where a line is damaged or contradicts those before it, and where the study does not know
    all of the recorded trials: a search that began again would mix its trials with theirs. Nothing is written before.
    """
    if recorded and not (journal.is_file() and journal.stat().st_size):
        state = "empty" if journal.is_file() else "missing"
        raise DamagedRunError(journal, f"is {state}, although there are results of {len(recorded)} trials")
    backend = JournalFile(journal)
    try:
        storage = Journal(backend)
        known = {trial.number for trial in _trials(storage) if trial.state != TrialState.WAITING}
    except OwkdError:
        raise
    except Exception as error:
        raise DamagedRunError(journal, why_unreadable(journal, error), backend.line) from error
    if unknown := sorted(set(recorded) - known):
        raise DamagedRunError(
            journal, f"ends before trial {unknown[0]}, although there are results of {len(unknown)} such trials"
        )
    return storage


def parsed(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is none, or is not what was written."""
    summed = SUMMED.fullmatch(line.rstrip(b"\r\n"))
    if summed and summed[2].decode() != _sum(summed[1] + b"}"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def mended(line: bytes) -> bytes | None:
    """The line that was written, where a single byte of it changed since; None where its sum does not say which."""
    text = line.rstrip(b"\r\n")
    body, end = bytearray(text[:-SUM_LENGTH] + b"}"), text[-SUM_LENGTH:]
    right = f',"{SUM}":"{_sum(body)}"}}'.encode()
    if sum(map(ne, end, right)) <= 1:
        return text[:-SUM_LENGTH] + right + b"\n"
    summed = SUMMED.fullmatch(text)
    if summed is None or len(line) > LONGEST_MENDED:
        return None
    wanted = int(summed[2], 16)
    for place, was in enumerate(body):
        for byte in range(256):
            body[place] = byte
            if zlib.crc32(body) == wanted:
                return bytes(body[:-1]) + end + b"\n"
        body[place] = was
    return None


def _trials(storage: JournalStorage) -> list[FrozenTrial]:
    """Of all studies, which is one."""
    ids = map(storage.get_study_id_from_name, optuna.get_all_study_names(storage))
    return [trial for study in ids for trial in storage.get_all_trials(study, deepcopy=False)]


def _sum(body: bytes | bytearray) -> str:
    return f"{zlib.crc32(body):08x}"
