"""Market-1501, DukeMTMC-reID and all whose file names carry identity and camera: `0002_c1s1_000451_03.jpg`.

Zheng et al., Scalable person re-identification: a benchmark, ICCV 2015. Identity -1 marks junk, which the rule of
Market-1501 leaves out of every list, and 0000 distractors, which are in the gallery and of nobody.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from owkd.data.index import camera_number, list_images
from owkd.data.preparing.arrangement import Arrangement, Placed, people_of, two_folds, with_validation
from owkd.errors import DataError

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
JUNK, DISTRACTOR = -1, 0
NAME = re.compile(r"(-1|\d{1,18})_", re.ASCII)
PUBLISHED_NOTE = (
    "Published: who is trained and tested on, what is a query and what in the gallery. Ours: which training people are "
    "held out for validation; published figures are of models that were trained on these too."
)
OUR_NOTE = (
    "The division is ours: figures are comparable among models that use it, not with published ones of this data set."
)


def arrange_market(raw: Path, *, dataset: str = "", seed: int = 0) -> Arrangement:
    """`Fold1` by the folders of `raw`, or, where these are not there, two folds of ours of all images below it.

    The names of test images begin with `query_` or `gallery_`. Junk (-1) is left out: the Market rule leaves it out of
    every list. Distractors (0000) are in the test split, as identity 0. `dataset` names the folder that is made, as
    `raw` is named when unset. Raises `DataError` when something is missing, or a name carries no identity or no camera.
    """
    raw = Path(raw)
    if not raw.is_dir():
        raise DataError(f"RAW must be a folder, but got {raw}; give the folder that holds {TRAIN}")
    dataset = dataset or raw.resolve().name
    there = [name for name in (TRAIN, QUERY, GALLERY) if (raw / name).is_dir()]
    if there and len(there) < 3:
        missing = next(name for name in (TRAIN, QUERY, GALLERY) if name not in there)
        raise DataError(f"the folder {missing!r} must be beside {there[0]!r}, but {raw} lacks it; unpack it again")
    if not there:
        folders = [raw, *sorted(path for path in raw.rglob("*") if path.is_dir())]
        everything = [each for folder in folders for each in _read(folder, "")]
        people = [each for each in everything if each.identity not in (JUNK, DISTRACTOR)]
        remarks = _left_out(everything, len(everything) - len(people), "junk or distractors (-1, 0000)")
        return Arrangement(dataset, two_folds(people, seed), OUR_NOTE, {"seed": seed}, remarks)
    train = [each for each in _read(raw / TRAIN, "") if each.identity not in (JUNK, DISTRACTOR)]
    tested = [*_read(raw / QUERY, "query_"), *_read(raw / GALLERY, "gallery_")]
    test = [each for each in tested if each.identity != JUNK]
    if both := set(people_of(train)) & set(people_of(test)):
        raise DataError(f"nobody must be in train and in test, but {min(both)} is in both of {raw}; unpack it again")
    remarks = (
        *_left_out(tested, len(tested) - len(test), "junk (-1), which the Market rule leaves out of every list"),
        *_counted(sum(each.identity == DISTRACTOR for each in test)),
    )
    return Arrangement(dataset, {"Fold1": with_validation(train, test, seed)}, PUBLISHED_NOTE, {"seed": seed}, remarks)


def _read(folder: Path, prefix: str) -> Iterator[Placed]:
    for image in list_images(folder):
        match = NAME.match(image.name)
        if match is None or camera_number(image.name) is None:
            raise DataError(
                f"a file name must carry identity and camera, as 0002_c1s1_000451_03.jpg does, but got {image}; remove "
                "it, or use `owkd data prepare folder`"
            )
        yield Placed(int(match[1]), f"{prefix}{image.name}", image)


def _left_out(of: list[Placed], count: int, words: str) -> tuple[str, ...]:
    return (f"{count} of {len(of)} images are left out: {words}",) if count else ()


def _counted(distractors: int) -> tuple[str, ...]:
    return (f"{distractors} images of the gallery are distractors (identity 0)",) if distractors else ()
