"""RegDB as distributed: `Thermal` and `Visible`, each with one folder a person, and ten divisions in `idx`.

Nguyen, Hong, Kim and Park, Person recognition system based on a combination of body images from visible light and
thermal cameras, Sensors 17(3), 2017. Of 412 people with ten images of each kind, a division has 206 to train on and 206
to test on. A line of a list is a path and a label; labels count from 0 in train and in test, so a person is known by
the folder alone.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from owkd.data.index import identity_number
from owkd.data.preparing.arrangement import Arrangement, Modality, Placed, people_of, with_validation
from owkd.errors import DataError

DIVISIONS = range(1, 11)
FOLDERS = {"visible": ("Visible", 1), "thermal": ("Thermal", 2)}
"""the folder of each kind, and the number that stands for its camera in our file names"""
NOTE = (
    "Published: who is trained and tested on, in the ten divisions of RegDB (Fold1 to Fold10; published figures are "
    "means over them). Ours: which of the training people are held out for validation. Published figures search one "
    "kind of image for the other; those within thermal images are comparable with others on these divisions."
)


def arrange_regdb(raw: Path, *, modality: Modality = "thermal", seed: int = 0) -> Arrangement:
    """`Fold1` to `Fold10`, the published divisions; a fifth of the training people are validation, by `seed`.

    Files are called `cam1_<name>` (visible) and `cam2_<name>` (thermal). Raises `DataError` when something of `raw` is
    missing or unreadable, or the lists contradict each other.
    """
    raw = Path(raw)
    kinds = [kind for kind in FOLDERS if modality in (kind, "both")]
    for kind in kinds:
        if not (raw / FOLDERS[kind][0]).is_dir():
            raise DataError(
                f"RegDB must hold its {kind} images in {FOLDERS[kind][0]}, but {raw / FOLDERS[kind][0]} is no folder; "
                "give the folder that holds Thermal, Visible and idx"
            )
    folds = {}
    for number in DIVISIONS:
        train, test = (
            [each for kind in kinds for each in _listed(raw, f"{part}_{kind}_{number}.txt", kind)]
            for part in ("train", "test")
        )
        if both := set(people_of(train)) & set(people_of(test)):
            raise DataError(
                f"nobody must be in train and in test, but {min(both)} is in division {number} of {raw / 'idx'}; "
                "unpack it again"
            )
        folds[f"Fold{number}"] = with_validation(train, test, seed)
    return Arrangement(f"RegDB_{modality}", folds, NOTE, {"modality": modality, "seed": seed})


def _listed(raw: Path, name: str, kind: str) -> Iterator[Placed]:
    """The files of one list."""
    path = raw / "idx" / name
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise DataError(f"a list of RegDB must be readable, but {path}: {reason}; unpack it again") from error
    people: dict[str, int] = {}
    for line in filter(None, map(str.strip, lines)):
        file, _, label = line.rpartition(" ")
        parts = PurePosixPath(file.strip().replace("\\", "/")).parts
        identity = identity_number(parts[1]) if len(parts) == 3 and parts[0].lower() == kind else None
        if identity is None or not label.isdigit() or ".." in parts:
            raise DataError(
                f"a line of {path} must be {FOLDERS[kind][0]}/<person>/<image> and a label, but is {line!r}; unpack it "
                "again"
            )
        if people.setdefault(label, identity) != identity:
            raise DataError(
                f"a label must stand for one person, but {label} stands for {people[label]} and {identity} in {path}; "
                "unpack it again"
            )
        folder, camera = FOLDERS[kind]
        source = raw / folder / parts[1] / parts[2]
        if not source.is_file():
            raise DataError(f"a listed image must be there, but {source}, of {path}, is not; unpack it again")
        yield Placed(identity, f"cam{camera}_{parts[2]}", source)
