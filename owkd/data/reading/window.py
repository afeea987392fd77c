"""Which grey values of images of more than 8 bits are black and white: one window for a whole data set.

A thermal camera's 16 bits or temperatures span far more than one scene does; without a window a few grey levels are
left of it. 8-bit images have no need of one and are what they are.

Shapes: H x W of an image.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from owkd.errors import DataError

Values = NDArray[Any]
"""grey values (H, W), whole numbers or floating point"""
Window = tuple[float, float] | Literal["per_image"] | None
"""from `low` (black) to `high` (white); or each image's own percentiles. None stands for all of 16 bits, which is what
a model takes whose training images have 8 bits, or whose file is of a version that knew no windows"""
WindowSetting = tuple[float, float] | Literal["auto", "per_image"]
"""`data.window` of a configuration; auto: robust percentiles of the training split"""
SIXTEEN_BITS = (0.0, 65536.0)
PERCENTILES = (0.1, 99.9)
"""of a window that is found: dead and glaring pixels do not widen it"""
MOST_SAMPLES = 2**22
"""grey values of all images together that a window is found from"""
FEWEST_SAMPLES = 256
"""of an image"""


def as_grey(values: Values, window: Window) -> NDArray[np.uint8]:
    """Grey values (H, W) -> uint8: 256 equal steps from low to high, beyond them black and white; no number is black.

    Raises `ValueError` for values that have no place in 16 bits where there is no window.
    """
    if window is None:
        return _high_byte(values)
    low, high = percentiles([values]) if window == "per_image" else window
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    steps = (values.astype(np.float64) - low) * (256 / (high - low))
    grey: NDArray[np.uint8] = np.clip(np.nan_to_num(np.floor(steps), nan=0.0), 0, 255).astype(np.uint8)
    return grey


def percentiles(images: Iterable[Values]) -> tuple[float, float]:
    """`PERCENTILES` of all numbers in some images together. Raises `ValueError` where there is none."""
    finite = np.concatenate([image[np.isfinite(image)].ravel() for image in images])
    if not len(finite):
        raise ValueError("grey values must be numbers, but there is none")
    low, high = np.percentile(finite, PERCENTILES)
    return float(low), float(high)


def sampled(values: Values, num_images: int) -> Values:
    """Grey values of one of `num_images` images, evenly spread over it: few enough for all to be kept."""
    most = max(FEWEST_SAMPLES, MOST_SAMPLES // num_images)
    flat = values.ravel()
    return flat[:: -(-len(flat) // most)].copy()


def found_window(samples: Iterable[Values]) -> tuple[float, float]:
    """The window of images of more than 8 bits, by what `sampled` took of them.

    Raises `DataError` where they show a single value.
    """
    try:
        low, high = percentiles(samples)
    except ValueError as error:
        raise DataError(f"a window of grey values must be found, but {error}; set data.window") from error
    if low == high:
        raise DataError(
            f"training images must differ in their grey values, but {PERCENTILES[1] - PERCENTILES[0]:.1f} % of them "
            f"are {low:g}; set data.window to [low, high], or remove blank images"
        )
    return low, high


def normal(window: Window) -> Window:
    """The same window, None where it is all of 16 bits."""
    return None if window == SIXTEEN_BITS else window


def window_in_words(window: Window) -> str:
    """For people: `5991 to 7745`."""
    if window is None:
        return "none (all of 16 bits)"
    return "each image's own" if window == "per_image" else f"{window[0]:g} to {window[1]:g}"


def said_of(window: Window) -> Iterator[str]:
    """A line for whoever trains, where there is something to say."""
    if window is not None:
        yield f"Images of more than 8 bits: grey values {window_in_words(window)} are black to white (data.window)."


def _high_byte(values: Values) -> NDArray[np.uint8]:
    if values.dtype.kind == "f":
        raise ValueError("grey values are floating point, which need a window of grey values; set data.window")
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("grey values must fit 16 bits where there is no window of grey values; set data.window")
    high: NDArray[np.uint8] = (values >> 8).astype(np.uint8)
    return high
