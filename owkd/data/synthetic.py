"""A small synthetic data set of thermal-looking pedestrians: real PNG files in the published folder layout."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from owkd.data.pedestrians import CAMERA_GAIN, draw_images, draw_traits
from owkd.errors import DataError

DATASET = "Synthetic_thermal"
VALIDATION_SHARE = 5  # one in five of the people who are not tested on
MIN_VALIDATION = 4
MIN_IDENTITIES = 16  # leaves four people to train on in a fold, beside four for validation and eight for test
SPLITS = ("train", "validation", "test")


def fold_identities(identities: int, rng: np.random.Generator) -> dict[str, dict[str, list[int]]]:
    """Which people, numbered from 1, are in which split of which fold.

    A random half is tested on in Fold1 and the other half in Fold2. Of the people who are not tested on, about a fifth,
    and at least four, are the validation part: others than those in train, because a model that must recognise people
    whom it has never seen is chosen by people whom it has never seen. The same holds between any two splits of a fold.
    """
    people = rng.permutation(identities) + 1
    halves = people[: identities // 2], people[identities // 2 :]
    folds = {}
    for name, test, rest in (("Fold1", halves[0], halves[1]), ("Fold2", halves[1], halves[0])):
        held_out = max(MIN_VALIDATION, round(len(rest) / VALIDATION_SHARE))
        parts = (rest[held_out:], rest[:held_out], test)
        folds[name] = {split: sorted(map(int, part)) for split, part in zip(SPLITS, parts, strict=True)}
    return folds


def write_dataset(
    folder: Path, *, identities: int = 60, images: int = 12, size: int = 64, seed: int = 0, dataset: str = DATASET
) -> Path:
    """Writes `<folder>/<dataset>/Fold{1,2}/{train,validation,test}/allcam/<identity>/cam<C>_<number>.png`.

    Each of the `identities` people has `images` 8-bit grey images of `size` x `size` pixels, seen by two cameras in
    turn. Both folds hold the same images, divided by `fold_identities`. The same arguments give the same bytes, and a
    person's images do not depend on how many people there are.

    Returns the data set's folder. Raises `DataError` when an argument is too small or the folder holds files already.
    """
    for name, value, least in (("identities", identities, MIN_IDENTITIES), ("images", images, 2), ("size", size, 16)):
        if value < least:
            raise DataError(f"`{name} >= {least}` must hold, but got {name}={value}; do give a larger number")
    target = Path(folder) / dataset
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"the data set's folder must be new or empty, but {target} is not; do name another folder")
    folds = fold_identities(identities, np.random.default_rng([seed, 0]))
    cameras = np.arange(images) % len(CAMERA_GAIN)
    for person in range(1, identities + 1):
        rng = np.random.default_rng([seed, person])
        pictures = draw_images(draw_traits(rng), cameras, size, rng)
        files = {
            f"cam{camera + 1}_{number:04d}.png": _png(picture)
            for number, (camera, picture) in enumerate(zip(cameras, pictures, strict=True), start=1)
        }
        for fold, splits in folds.items():
            split = next(name for name, members in splits.items() if person in members)
            place = target / fold / split / "allcam" / f"{person:04d}"
            place.mkdir(parents=True)
            for name, content in files.items():
                (place / name).write_bytes(content)
    return target


def _png(picture: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()
