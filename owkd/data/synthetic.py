"""A small synthetic data set of thermal-looking pedestrians: real PNG files in the published folder layout."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from owkd.data.preparing.folds import MIN_IDENTITIES, divide
from owkd.data.thermal.difficulty import CAMERA_GAIN
from owkd.data.thermal.people import draw_traits
from owkd.data.thermal.scene import draw_images
from owkd.errors import DataError
from owkd.files import require_writable, sync_folder, sync_tree
from owkd.unfinished import unfinished_folder

DATASET = "Synthetic_thermal"


def write_dataset(
    folder: Path, *, identities: int = 60, images: int = 12, size: int = 64, seed: int = 0, dataset: str = DATASET
) -> Path:
    """Writes `<folder>/<dataset>/Fold{1,2}/{train,validation,test}/allcam/<identity>/cam<C>_<number>.png`.

    Each of the `identities` people has `images` 8-bit grey images of `size` x `size` pixels, seen by three cameras in
    turn. Both folds hold the same images, divided as in `owkd.data.preparing.folds`. The same arguments give the same
    bytes, and a person's images do not depend on how many people there are. The data set appears whole or not at all.

    Returns the data set's folder. Raises `DataError` when an argument is too small or the folder holds files already.
    """
    for name, value, least in (("identities", identities, MIN_IDENTITIES), ("images", images, 2), ("size", size, 16)):
        if value < least:
            raise DataError(f"`{name} >= {least}` must hold, but got {name}={value}; give a larger number")
    target = Path(folder) / dataset
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"the data set's folder must be new or empty, but {target} is not; name another folder")
    require_writable(target / "Fold1", "DIR")
    with unfinished_folder(target) as folder_of_ours:
        content = folder_of_ours / dataset
        _write(content, identities, images, size, seed)
        sync_tree(content)
        content.replace(target)
        sync_folder(target.parent)
    return target


def _write(target: Path, identities: int, images: int, size: int, seed: int) -> None:
    folds = divide(range(1, identities + 1), np.random.default_rng([seed, 0]))
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


def _png(picture: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()
