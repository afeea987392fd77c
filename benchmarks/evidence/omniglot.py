"""Omniglot in the project's folder layout: characters are identities, and those who drew them are the cameras.

Lake, Salakhutdinov and Tenenbaum, Human-level concept learning through probabilistic program induction, Science 350,
2015. `omniglot/README.md` says what of it is kept here, and from where.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from owkd.data.index import SPLITS
from owkd.data.preparing.folds import FOLDS, Folds

ARCHIVE = Path(__file__).parent / "omniglot" / "omniglot.tar.gz"
VALIDATION_SHARE = 4
"""one in four characters"""
SEED = 0

Drawings = dict[int, bytes]
"""PNG files of one character, by drawer: 1 to 20, numbered anew in every alphabet"""


def write_omniglot(folder: Path, dataset: str, drawers: Collection[int], *, seed: int = SEED) -> Path:
    """Writes `<folder>/<dataset>/Fold{1,2}/{train,validation,test}/allcam/<character>/cam<drawer>_<number>.png`.

    Ink is bright on dark, as people are in infrared. Which characters are in which split depends on the seed alone, not
    on the drawers. The same arguments give the same bytes. The data set appears whole or not at all; one that is there
    stays.

    Returns the data set's folder.
    """
    target = folder / dataset
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    characters = read_characters()
    folds = divide(len(characters), seed)
    with tempfile.TemporaryDirectory(prefix=f".{dataset}-", dir=folder) as unfinished:
        content = Path(unfinished) / dataset
        for fold, splits in folds.items():
            for split, members in splits.items():
                for number in members:
                    place = content / fold / split / "allcam" / f"{number:04d}"
                    place.mkdir(parents=True)
                    for drawer in sorted(drawers):
                        with Image.open(io.BytesIO(characters[number - 1][drawer])) as image:
                            ImageOps.invert(image.convert("L")).save(place / f"cam{drawer:02d}_{number:04d}.png")
        content.replace(target)
    return target


def divide(characters: int, seed: int = SEED) -> Folds:
    """Which characters, numbered from 1, are in which split of which fold.

    Both folds are validated on the same ones, which are tested on in neither: a setting that was chosen on validation
    is tested on identities that had no part in the choice, in any fold. Of the others, half is trained on and half is
    tested on, and the other way round.
    """
    order = np.random.default_rng(seed).permutation(np.arange(1, characters + 1))
    validation, first, second = np.split(order, [(held := characters // VALIDATION_SHARE), (characters + held) // 2])
    parts = ((first, validation, second), (second, validation, first))
    return {
        fold: {split: sorted(part.tolist()) for split, part in zip(SPLITS, members, strict=True)}
        for fold, members in zip(FOLDS, parts, strict=True)
    }


def read_characters(archive: Path = ARCHIVE) -> list[Drawings]:
    """The drawings of every character of an archive `<alphabet>/<character>/<number>_<drawer>.png`, in their order."""
    characters: dict[PurePosixPath, Drawings] = defaultdict(dict)
    with tarfile.open(archive) as images:
        for member in images:
            path, content = PurePosixPath(member.name), images.extractfile(member)
            assert content is not None
            characters[path.parent][int(path.stem.partition("_")[2])] = content.read()
    return [characters[name] for name in sorted(characters)]


def keep(sources: Iterable[Path], archive: Path = ARCHIVE) -> None:
    """Makes the archive from the published ones, `images_background_small1.zip` and `images_background_small2.zip`.

    Their folder on top is left out: two alphabets are in both, and a character is one identity.
    """
    kept: dict[str, bytes] = {}
    for source in sources:
        with zipfile.ZipFile(source) as images:
            names = (name for name in images.namelist() if name.endswith(".png"))
            kept |= {name.partition("/")[2]: images.read(name) for name in names}
    with gzip.GzipFile(archive, "wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as images:
        for name, content in sorted(kept.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            images.addfile(member, io.BytesIO(content))
