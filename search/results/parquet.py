"""One table of a run as a folder of Parquet files: a file for each trial under way, and parts of many that are over.

    trial-00412.parquet    rows of one trial, rewritten whole as it gets on
    part-00006.parquet     rows of many trials that are over, which do not change any more

Trials that are over are moved into a part: first the part appears whole, then their own files go. A reader in between
would see them twice; `TrialFiles.read` takes every trial from one file only, and what a kill left in between is
repaired when the run is opened again (`repair`).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from owkd.files import written_whole
from search.results.schema import Row
from search.runs.damage import DamagedRunError, reading
from search.runs.layout import trial_name
from search.runs.manifest import SCHEMA_VERSION

MANY_PARTS = 16
"""so many parts become one"""
COLUMNS_SUM = "columns_crc32"
"""key of a file's metadata: a checksum of the names and types of its columns"""
READ_ATTEMPTS = 100
"""of a reader whose files are moved into a part under its eyes"""


class TrialFiles:
    """The files of one table; every row has a column `trial`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._moved: set[int] = set()

    def repair(self) -> None:
        """Repairs what a kill left: no trial is in two files afterwards. Only for the run's driver."""
        self._moved = set()
        for part in reversed(self._parts()):
            numbers = set(_trial_numbers(part, read_table(part)))
            if numbers <= self._moved:
                part.unlink()
            self._moved |= numbers
        for number in self._moved:
            self._path(number).unlink(missing_ok=True)

    def write(self, number: int, schema: pa.Schema, rows: Sequence[Row]) -> None:
        """Writes all rows of one trial in place of those that are there."""
        write_table(self._path(number), schema, rows)
        if number in self._moved:
            self._take_out(number)

    def rows(self, number: int) -> list[Row]:
        """The rows of one trial; none where it has none."""
        if number in self._moved:
            parts = (read_table(part) for part in self._parts())
            return next(rows for part in parts if (rows := _rows_of(part, {number}).to_pylist()))
        path = self._path(number)
        return read_table(path).to_pylist() if path.is_file() else []

    def move(self, numbers: Collection[int]) -> None:
        """Moves trials that are over into a part."""
        paths = {number: path for number in sorted(numbers) if (path := self._path(number)).is_file()}
        if paths:
            self._write_part([read_table(path) for path in paths.values()])
            self._moved.update(paths)
            for path in paths.values():
                path.unlink()
        if len(self._parts()) >= MANY_PARTS:
            self.merge()

    def merge(self) -> None:
        """Makes one part of all."""
        parts = self._parts()
        if len(parts) > 1:
            self._write_part([read_table(part) for part in parts])
            for part in parts:
                part.unlink()

    def read(self) -> pa.Table | None:
        """All rows in order of trials, also while the files are rewritten and moved; None where there is no file."""
        for _ in range(READ_ATTEMPTS - 1):
            try:
                return self._read()
            except FileNotFoundError:
                continue
        return self._read()

    def paths(self) -> list[Path]:
        """Its files in the order in which they are read: a trial counts in the first that has it."""
        own = sorted(self.folder.glob("trial-*.parquet"))  # before the parts: what is moved meanwhile is in one of them
        return [*reversed(self._parts()), *own]

    def _read(self) -> pa.Table | None:
        tables: list[pa.Table] = []
        seen: set[int] = set()
        for path in self.paths():
            table = read_table(path)
            numbers = set(_trial_numbers(path, table))
            tables.append(_rows_of(table, numbers - seen) if numbers & seen else table)
            seen |= numbers
        if not tables:
            return None
        # A stable sort: rows of one trial stay in their own order.
        whole = pa.concat_tables(tables, promote_options="default")
        return whole.take(pc.sort_indices(whole["trial"]))

    def _take_out(self, number: int) -> None:
        self._moved.discard(number)
        for part in self._parts():
            table = read_table(part)
            numbers = set(_trial_numbers(part, table))
            if number in numbers:
                _write(part, _rows_of(table, numbers - {number}))

    def _write_part(self, tables: Sequence[pa.Table]) -> None:
        last = self._parts()[-1:]
        index = int(last[0].stem.removeprefix("part-")) + 1 if last else 0
        whole = pa.concat_tables(tables, promote_options="default")
        _write(self.folder / f"part-{index:05d}.parquet", whole.take(pc.sort_indices(whole["trial"])))

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{trial_name(number)}.parquet"


def write_table(path: Path, schema: pa.Schema, rows: Sequence[Row]) -> None:
    """Writes a whole Parquet file in place of the one that is there."""
    _write(path, pa.Table.from_pylist(list(rows), schema=schema))


def read_table(path: Path) -> pa.Table:
    """Reads a file that may be replaced at any moment. Raises `DamagedRunError`, `FileNotFoundError`.

    `pq.read_table` opens a file twice, once for its footer and once for its pages, which may then be of two files.
    Pages carry checksums of their own, and so do the columns' names and types.
    """
    with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read()
        wanted = (table.schema.metadata or {}).get(COLUMNS_SUM.encode())
        if wanted is not None and wanted != _columns_sum(table.schema):
            raise DamagedRunError(path, "is damaged (its columns are not those that were written)")
        return table


def _write(path: Path, table: pa.Table) -> None:
    metadata = {"schema_version": str(SCHEMA_VERSION), COLUMNS_SUM: _columns_sum(table.schema)}
    with written_whole(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, write_page_checksum=True)


def _columns_sum(schema: pa.Schema) -> bytes:
    return f"{zlib.crc32(schema.remove_metadata().to_string().encode()):08x}".encode()


def _trial_numbers(path: Path, table: pa.Table) -> list[int]:
    with reading(path):
        numbers: list[int] = pc.unique(table["trial"]).to_pylist()
    return numbers


def _rows_of(table: pa.Table, numbers: Collection[int]) -> pa.Table:
    return table.filter(pc.is_in(table["trial"], pa.array(sorted(numbers), table["trial"].type)))
