"""One image file -> 8-bit RGB, the only decoder there is.

Shapes: H x W of the file, upright; S image side in pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from owkd.data.reading.window import Values, Window, as_grey

Extra = Literal["pages", "stereo", "radiometric"]
EXTRAS: dict[Extra, str] = {
    "pages": "of several pages or frames; the first is taken",
    "stereo": "MPO, of several pictures; the first, full picture is taken",
    "radiometric": "radiometric JPEG; the rendered picture is taken, not the temperatures beside it",
}
"""what a file may hold beside the picture that is taken, in words"""
ORIENTATION = 0x0112
"""EXIF tag; 1 is upright"""
FLIR_SEGMENT = b"FLIR\0"


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded.

    Attributes:
        deep: whether its grey values have more than 8 bits
        turned: whether it is stored in another orientation than it is to be seen in
        extra: what it holds beside the picture that is taken
    """

    deep: bool
    turned: bool
    extra: Extra | None


def read_header(path: Path) -> Header:
    """What a file says of itself. Raises whatever the decoder raises for a damaged file."""
    with _opened(path) as image:
        return Header(_is_deep(image), _orientation(image) != 1, _extra(image))


def deep_values(path: Path) -> Values | None:
    """The grey values (H, W) of an image of more than 8 bits, upright; None for any other.

    Raises whatever the decoder raises for a damaged file.
    """
    with _opened(path) as image:
        return np.asarray(_upright(image)) if _is_deep(image) else None


def decode_whole(path: Path, window: Window = None) -> Image.Image:
    """One image file as 8-bit RGB of its own size: upright, grey values of more than 8 bits brought into `window`.

    8-bit images are what they are; alpha is dropped. Raises whatever the decoder raises for a damaged file, and
    `ValueError` for grey values that `window` has no place for.
    """
    with _opened(path) as image:
        return as_rgb(image, window)


def as_rgb(image: Image.Image, window: Window = None) -> Image.Image:
    """`decode_whole` of an image that is open already; the image itself stays as it is."""
    deep = _is_deep(image)
    upright = _upright(image)
    if deep:
        upright = Image.fromarray(as_grey(np.asarray(upright), window))
    if "transparency" in upright.info:
        # A palette with transparency would make Pillow warn at each conversion; alpha is dropped anyway.
        upright = upright.copy()
        del upright.info["transparency"]
    return upright.convert("RGB")


def decode(path: Path, image_size: int, window: Window = None) -> NDArray[np.uint8]:
    """`decode_whole`, then `resized`."""
    return resized(decode_whole(path, window), image_size)


def resized(image: Image.Image, image_size: int) -> NDArray[np.uint8]:
    """An RGB image, bilinearly resized -> uint8 (S, S, 3)."""
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.BILINEAR))


def unreadable_because(path: Path, error: Exception) -> str:
    """Why an image could not be decoded, in a few words and without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "an empty file" if path.stat().st_size == 0 else "not an image"
    return str(error) or type(error).__name__


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """By a handle, not by a name: what Pillow 13.0 maps into memory by name it maps with sides swapped, of a TIFF file
    that is stored lying, and mixes up its rows.
    """
    with path.open("rb") as file, Image.open(file) as image:
        yield image


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _upright(image: Image.Image) -> Image.Image:
    """The decoded image as it is to be seen. Pillow turns TIFF files by itself while it decodes them."""
    image.load()
    return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)


def _orientation(image: Image.Image) -> int:
    """1 to 8. EXIF data that cannot be read turn nothing: the pixels are whole all the same."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # the parser raises what it likes
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _extra(image: Image.Image) -> Extra | None:
    if any(content.startswith(FLIR_SEGMENT) for _, content in getattr(image, "applist", ())):
        return "radiometric"
    if getattr(image, "n_frames", 1) == 1:
        return None
    return "stereo" if image.format == "MPO" else "pages"
