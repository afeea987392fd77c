"""Images that a model is to embed: all of a split, or those that can be read, and what whoever asked should know.

Shapes: n images that are embedded, S image side in pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from owkd.data.images import MOST_DAMAGED, UnreadableImagesError, load_images
from owkd.data.index import Split
from owkd.data.reading.picture import EXTRAS
from owkd.data.reading.survey import Survey, survey
from owkd.data.reading.window import Window, window_in_words
from owkd.errors import DataError

Say = Callable[[str], None]


def say_nothing(line: str) -> None:
    """For whoever does not ask."""


@dataclass(frozen=True, eq=False)
class ReadImages:
    """What could be read of a split.

    Attributes:
        pixels: (n, S, S, 3) uint8
        unreadable: why, of those that are left out, by path
    """

    split: Split
    pixels: NDArray[np.uint8]
    unreadable: Mapping[str, str]


def read_images(
    split: Split, image_size: int, cache: Path | None, window: Window, *, skip_unreadable: bool, say: Say
) -> ReadImages:
    """The images of a split as a model with this window takes them; `say` gets a line on what should be known of them.

    Raises `UnreadableImagesError` where some are damaged, unless they are to be left out; `DataError` where none is
    left.
    """
    unreadable: Mapping[str, str] = {}
    try:
        pixels = load_images(split, image_size, cache, window, name_all=skip_unreadable)
    except UnreadableImagesError as error:
        if not skip_unreadable:
            raise
        unreadable = error.reasons
        say(left_out(unreadable, len(split.paths)))
        if len(unreadable) == len(split.paths):
            raise DataError(
                f"some image must be readable, but none in {split.folder} is; give another folder"
            ) from error
        split = split.without(unreadable)
        pixels = load_images(split, image_size, cache, window)
    for line in worth_knowing(survey(split, cache), len(split.paths), window):
        say(line)
    return ReadImages(split, pixels, unreadable)


def left_out(unreadable: Mapping[str, str], of: int) -> str:
    """The images that are left out, by name, as many as one message names."""
    lines = [f"  - {path}: {why}" for path, why in list(unreadable.items())[:MOST_DAMAGED]]
    rest = len(unreadable) - len(lines)
    more = [f"  and {rest} more"] if rest else []
    return "\n".join([f"left out, {len(unreadable)} of {of} images cannot be read:", *lines, *more])


def worth_knowing(found: Survey, num_images: int, window: Window) -> list[str]:
    """What the files of a split are that a model with this window might not expect."""
    lines = []
    if found.deep and window is None:
        lines.append(
            f"{found.deep} of {num_images} images have more than 8 bits, but the model was trained on 8-bit images and "
            "has no window of grey values: it sees their high bytes alone, which may be next to nothing"
        )
    if window is not None and found.deep < num_images:
        lines.append(
            f"{num_images - found.deep} of {num_images} images have 8 bits, but the model was trained on more, with "
            f"grey values {window_in_words(window)} from black to white: they are taken as they are"
        )
    lines += [
        f"{count} of {num_images} images are {words}"
        for kind, words in EXTRAS.items()
        if (count := found.extras.get(kind))
    ]
    return lines
