"""The journal's lines carry checksums: what is read is what was written, or the line that is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.runs.damage import DamagedRunError
from search.study.journal import mended, open_journal, parsed

LINES = 6


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A study with one trial, as it is written."""
    path = tmp_path / "study.journal"
    study = optuna.create_study(storage=open_journal(path), study_name="s", direction="maximize")
    study.set_user_attr("text", "Größe, \N{SNOWMAN}, and a \n")
    trial = study.ask()
    trial.suggest_float("x", 0.1, 1.0)
    trial.report(0.1 + 0.2, 1)
    study.tell(trial, 0.5)
    return path


def damaged_line(journal: Path) -> int | None:
    """None where the journal can be read."""
    try:
        open_journal(journal)
    except DamagedRunError as error:
        return error.line
    return None


def test_optuna_reads_the_file_as_its_own(journal: Path) -> None:
    ours = optuna.load_study(study_name="s", storage=open_journal(journal))
    theirs = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(journal))))
    assert ours.trials == theirs.trials
    assert ours.user_attrs == theirs.user_attrs == {"text": "Größe, \N{SNOWMAN}, and a \n"}
    assert all("crc32" in json.loads(line) for line in journal.read_text().splitlines())


def test_a_changed_byte_of_any_line_is_found_with_its_line(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) >= LINES
    for number, line in enumerate(lines, 1):
        for place in range(0, len(line) - 1, 7):
            other = bytearray(line)
            other[place] ^= 0x02
            journal.write_bytes(b"".join([*lines[: number - 1], bytes(other), *lines[number:]]))
            record, wanted = parsed(bytes(other)), json.loads(line)
            assert damaged_line(journal) == (number if record is None else None)
            assert record is None or all(record[key] == wanted[key] for key in wanted if key != "crc32")
            assert mended(bytes(other)) == line


def test_a_lost_end_of_a_line_is_the_next_lines_damage(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], lines[1].rstrip(), *lines[2:]]))
    assert damaged_line(journal) == 2
    assert mended(lines[1].rstrip() + lines[2]) is None


def test_a_last_line_without_an_end_is_nobodys(journal: Path) -> None:
    text = journal.read_bytes()
    journal.write_bytes(text + text.splitlines()[-1][:20])
    assert damaged_line(journal) is None
    journal.write_bytes(text + text.splitlines()[-1][:20] + b"\n")
    assert damaged_line(journal) == text.count(b"\n") + 1


def test_lines_without_a_sum_are_taken_as_they_are(journal: Path) -> None:
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    without = [
        "".join([json.dumps({key: record[key] for key in record if key != "crc32"}), "\n"]) for record in records
    ]
    journal.write_text("".join(without))
    assert damaged_line(journal) is None
    without[2] = without[2].replace('"study_id"', '"study_ix"')
    journal.write_text("".join(without))
    assert damaged_line(journal) == 3


@pytest.mark.parametrize("left", [None, b""], ids=["missing", "empty"])
def test_a_study_is_not_begun_over_results(journal: Path, left: bytes | None) -> None:
    journal.unlink()
    if left is not None:
        journal.write_bytes(left)
    with pytest.raises(DamagedRunError, match="results of 2 trials"):
        open_journal(journal, recorded={0, 1})
    assert (journal.read_bytes() if journal.exists() else None) == left


def test_a_study_must_know_the_trials_that_left_results(journal: Path) -> None:
    before = journal.read_bytes()
    open_journal(journal, recorded={0})
    with pytest.raises(DamagedRunError, match="ends before trial 1, although there are results of 2 such trials"):
        open_journal(journal, recorded={0, 1, 4})
    assert journal.read_bytes() == before


def test_what_is_recorded_together_is_known_at_once_and_goes_to_the_disk_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "study.journal"
    storage = open_journal(journal)
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append(handle))
    before = journal.read_bytes()
    with storage.file.together():
        trial = study.ask()
        with storage.file.together():
            trial.suggest_float("x", 0, 1)
        trial.set_user_attr("state", "running")
        assert study.trials[0].user_attrs == {"state": "running"}
        assert journal.read_bytes() == before
        assert not synced
    assert len(synced) == 1
    study.tell(trial, 0.5)
    for known in (study, optuna.load_study(study_name="s", storage=open_journal(journal))):
        assert [(each.number, each.params, each.value) for each in known.trials] == [(0, trial.params, 0.5)]
    assert all(parsed(line) for line in journal.read_bytes().splitlines(keepends=True))


def test_what_was_recorded_together_stays_when_something_fails_in_between(tmp_path: Path) -> None:
    storage = open_journal(tmp_path / "study.journal")
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")

    def ask_and_fail() -> None:
        with storage.file.together():
            study.ask()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask_and_fail()
    known = optuna.load_study(study_name="s", storage=open_journal(tmp_path / "study.journal"))
    assert len(known.trials) == len(study.trials) == 1
