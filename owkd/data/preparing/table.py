"""Images of one's own: a folder with one folder a person, or a table of path, identity, camera and split.

A table is CSV or Parquet; `path` is relative to the table's folder, `camera` and `split` may be left out.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from owkd.data.index import IMAGE_SUFFIXES, SPLITS, SplitName, camera_number, folders_in, identity_number, list_images
from owkd.data.preparing.arrangement import Arrangement, Placed, two_folds, with_validation
from owkd.errors import DataError

OUR_NOTE = "The division is ours: figures are comparable among models that use it."
GIVEN_NOTE = "The division is that of the table."
HALF_NOTE = "Train and test are those of the table. Ours: which of the training people are held out for validation."
SPLIT_NAMES: dict[str, SplitName] = {**{name: name for name in SPLITS}, "val": "validation", "valid": "validation"}


@dataclass(frozen=True)
class _Row:
    """A line of a table; `where` says which."""

    path: Path
    identity: str
    camera: str
    split: str
    where: str


def arrange_folder(raw: Path, *, dataset: str = "", seed: int = 0) -> Arrangement:
    """Two folds of ours, or `Fold1` by the column `split`; without a validation part, a fifth of train becomes it.

    Names that are no numbers are numbered in the order of their text, from 1; `folds.json` keeps them. Files keep their
    names, with the camera before it where the table has one and the name has not. `dataset` names the folder that is
    made, as `raw` is named when unset. Raises `DataError` naming what is missing or unclear.
    """
    raw = Path(raw)
    if not raw.exists():
        raise DataError(f"RAW must be a folder of folders, or a table (.csv, .parquet), but {raw} is not there")
    rows = list(_folder_rows(raw) if raw.is_dir() else _table_rows(raw))
    if not rows:
        raise DataError(f"a data set must have images, but {raw} names none; give a folder with one folder a person")
    for row in rows:
        if not row.path.is_file() or row.path.suffix.lower() not in IMAGE_SUFFIXES:
            raise DataError(f"path must name an image that is there, but got {row.path} ({row.where}); correct it")
    numbers, renamed = _numbers(rows)
    placed = _placed(rows, numbers)
    dataset = dataset or (raw.resolve().name if raw.is_dir() else raw.stem)
    if not any(row.split for row in rows):
        return Arrangement(dataset, two_folds(placed, seed), OUR_NOTE, {"seed": seed}, (), renamed)
    splits: dict[SplitName, list[Placed]] = {split: [] for split in SPLITS}
    for row, each in zip(rows, placed, strict=True):
        splits[_split(row)].append(each)
    for split in ("train", "test"):
        if not splits[split]:
            raise DataError(f"the column split must have rows of train and of test, but {raw} has none of {split}")
    whole = bool(splits["validation"])
    fold = splits if whole else with_validation(splits["train"], splits["test"], seed)
    settings = {} if whole else {"seed": seed}
    return Arrangement(dataset, {"Fold1": fold}, GIVEN_NOTE if whole else HALF_NOTE, settings, (), renamed)


def _folder_rows(raw: Path) -> Iterator[_Row]:
    for home in folders_in(raw):
        for folder in [home, *sorted(path for path in home.rglob("*") if path.is_dir())]:
            for image in list_images(folder):
                yield _Row(image, home.name, "", "", str(home))


def _table_rows(raw: Path) -> Iterator[_Row]:
    for number, line in enumerate(_lines(raw), start=2 if raw.suffix.lower() == ".csv" else 1):
        values = {key: "" if value is None else str(value).strip() for key, value in line.items()}
        if missing := [name for name in ("path", "identity") if not values.get(name)]:
            raise DataError(
                f"a table must have path and identity in every row, but row {number} of {raw} has no {missing[0]}; "
                "add it (camera and split may be left out)"
            )
        path = raw.parent / values["path"]
        yield _Row(
            path, values["identity"], values.get("camera", ""), values.get("split", ""), f"row {number} of {raw}"
        )


def _lines(raw: Path) -> Sequence[Mapping[str, object]]:
    try:
        if raw.suffix.lower() == ".csv":
            with raw.open(encoding="utf-8-sig", newline="") as file:
                return list(csv.DictReader(file))
        if raw.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            rows: list[Mapping[str, object]] = pq.read_table(raw).to_pylist()
            return rows
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"a table must be readable, but {raw} is not ({error}); write it again") from error
    raise DataError(f"RAW must be a folder of folders, or a table (.csv, .parquet), but got {raw}; name one")


def _numbers(rows: Sequence[_Row]) -> tuple[dict[str, int], dict[int, str] | None]:
    """Of each name, and the names of the numbers where these are ours."""
    names = sorted({row.identity for row in rows})
    own = {name: number for name in names if (number := identity_number(name)) is not None}
    if len(own) < len(names):
        counted = {name: number for number, name in enumerate(names, start=1)}
        return counted, {number: name for name, number in counted.items()}
    twice = [number for number, count in Counter(own.values()).items() if count > 1]
    if twice:
        same = [name for name in names if own[name] == twice[0]]
        raise DataError(f"an identity must have one name, but {' and '.join(same)} are the same number; rename one")
    return own, None


def _placed(rows: Sequence[_Row], numbers: Mapping[str, int]) -> list[Placed]:
    """Where two files of a person would have one name, the folders above stand before it."""
    found = [_named(row, row.path.name) for row in rows]
    taken: dict[tuple[str, str], int] = defaultdict(int)
    for row, name in zip(rows, found, strict=True):
        taken[row.identity, name.lower()] += 1
    placed = []
    for row, name in zip(rows, found, strict=True):
        if taken[row.identity, name.lower()] > 1:
            name = _named(row, "-".join(row.path.parts[-3:]))
        placed.append(Placed(numbers[row.identity], name, row.path))
    keys = Counter((each.identity, each.name.lower()) for each in placed)
    if twice := next((key for key, count in keys.items() if count > 1), None):
        raise DataError(f"an image must be named once, but {twice[1]!r} of identity {twice[0]} is twice; drop one")
    return placed


def _named(row: _Row, name: str) -> str:
    if not row.camera:
        return name
    camera = row.camera if row.camera.isdigit() else str(camera_number(f"{row.camera}.png") or "")
    if not camera:
        raise DataError(f"camera must be a number, but got {row.camera!r} ({row.where}); number the cameras")
    return name if camera_number(name) == int(camera) else f"cam{int(camera)}_{name}"


def _split(row: _Row) -> SplitName:
    split = SPLIT_NAMES.get(row.split.lower())
    if split is None:
        raise DataError(f"split must be train, validation or test, but got {row.split!r} ({row.where}); set it so")
    return split
