"""SYSU-MM01 as distributed: `cam1` to `cam6`, each with one folder a person, and the authors' lists in `exp`.

Wu et al., RGB-infrared cross-modality person re-identification, ICCV 2017. Cameras 3 and 6 are infrared.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from owkd.data.identity_list import read_identity_list
from owkd.data.index import SplitName, list_images
from owkd.data.preparing.arrangement import Arrangement, Modality, Placed, Splits, two_folds
from owkd.data.preparing.folds import MIN_IDENTITIES
from owkd.errors import DataError

CAMERAS: dict[Modality, tuple[int, ...]] = {
    "thermal": (3, 6),
    "visible": (1, 2, 4, 5),
    "both": (1, 2, 3, 4, 5, 6),
}
LISTINGS: dict[SplitName, str] = {"train": "train_id.txt", "validation": "val_id.txt", "test": "test_id.txt"}
Division = Literal["official", "two-fold"]
NOTES: dict[Division, str] = {
    "official": (
        "Published: who is in train, validation and test, by the authors' own lists; nobody whom they test on is "
        "trained on. Figures are comparable with others on these lists and these cameras: published SYSU-MM01 figures "
        "search visible images for infrared ones, and the published two-fold figures of OWKD are of another division."
    ),
    "two-fold": (
        "The authors' division of SYSU-MM01 into folds is not published. This one is ours: figures are comparable "
        "among models that use it, not with published ones."
    ),
}


def arrange_sysu(
    raw: Path, *, modality: Modality = "thermal", division: Division = "official", seed: int = 0
) -> Arrangement:
    """`Fold1` by the authors' lists, or two folds of ours of everybody on them, divided by `seed`.

    Files are called `cam<C>_<number>.jpg`. Raises `DataError` when something of `raw` is missing or unreadable, or when
    too few people are found.
    """
    raw, cameras = Path(raw), CAMERAS[modality]
    kind = "infrared" if modality == "thermal" else modality
    for camera in cameras:
        if not (raw / f"cam{camera}").is_dir():
            raise DataError(
                f"SYSU-MM01 must hold its {kind} images in {_listed(cameras)}, but {raw / f'cam{camera}'} is no "
                "folder; give the folder that holds cam1 to cam6 and exp"
            )
    lists = {split: read_identity_list(raw / "exp" / name) for split, name in LISTINGS.items()}
    everybody = sorted({identity for listed in lists.values() for identity in listed})
    images = {identity: list(_images(raw, identity, cameras)) for identity in everybody}
    seen = [identity for identity in everybody if images[identity]]
    if len(seen) < MIN_IDENTITIES:
        raise DataError(
            f"at least {MIN_IDENTITIES} people must have {kind} images, but {raw} has {len(seen)} in "
            f"{_listed(cameras)}; unpack the whole data set"
        )
    unseen = len(everybody) - len(seen)
    # Of thermal images in two folds, the description is that of 0.1.0, whose preparations are then completed.
    chosen = {} if modality == "thermal" else {"modality": modality}
    settings = {**chosen, **({"seed": seed} if division == "two-fold" else {"division": division})}
    folds: dict[str, Splits]
    if division == "official":
        _require_apart(lists)
        folds = {
            "Fold1": {split: [each for who in sorted(set(ids)) for each in images[who]] for split, ids in lists.items()}
        }
    else:
        folds = dict(two_folds([each for identity in seen for each in images[identity]], seed))
    return Arrangement(
        f"SYSU-MM01_{modality}",
        folds,
        NOTES[division],
        settings,
        (f"{unseen} listed people have no {kind} image and are in no fold",) if unseen else (),
    )


def _require_apart(lists: dict[SplitName, list[int]]) -> None:
    trained = set(lists["train"]) | set(lists["validation"])
    if both := sorted(trained & set(lists["test"])) or sorted(set(lists["train"]) & set(lists["validation"])):
        raise DataError(f"nobody must be on two of the lists in exp, but {both[0]} is; unpack them again")


def _images(raw: Path, identity: int, cameras: tuple[int, ...]) -> Iterator[Placed]:
    for camera in cameras:
        home = raw / f"cam{camera}" / f"{identity:04d}"
        if home.is_dir():
            for image in list_images(home):
                yield Placed(identity, f"cam{camera}_{image.name}", image)


def _listed(cameras: tuple[int, ...]) -> str:
    names = [f"cam{camera}" for camera in cameras]
    return f"{', '.join(names[:-1])} and {names[-1]}"
