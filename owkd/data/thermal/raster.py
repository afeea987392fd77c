"""Drawing by signed distances, and random numbers that broadcast against images.

Shapes: n images, S image side in pixels; arrays over pixels are (n, S, S), over images (n, 1, 1).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def column(values: NDArray[np.float64]) -> Array:
    """(n,) -> (n, 1, 1)."""
    return values[:, None, None]


def uniform(rng: np.random.Generator, span: tuple[float, float], n: int) -> Array:
    """A number in `span` for each image (n, 1, 1)."""
    return column(rng.uniform(*span, n))


def normal(rng: np.random.Generator, scale: float, n: int) -> Array:
    """A normal number of mean 0 and standard deviation `scale` for each image (n, 1, 1)."""
    return column(rng.normal(0.0, scale, n))


def pixels(size: int) -> tuple[Array, Array]:
    """Coordinates x (1, 1, S) and y (1, S, 1) of the pixel centres in [0, 1]."""
    centres = (np.arange(size) + 0.5) / size
    return centres[None, None, :], centres[None, :, None]


def smooth_field(n: int, size: int, knots: int, rng: np.random.Generator) -> Array:
    """Smooth noise (n, S, S) with unit standard deviation at its knots."""
    position = np.linspace(0.0, knots - 1.0, size)
    weights = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(knots)))
    weights = weights * weights * (3.0 - 2.0 * weights)
    values: Array = weights @ rng.normal(size=(n, knots, knots)) @ weights.T
    return values


def length(x: Array, y: Array) -> Array:
    """Euclidean length of the vectors (x, y)."""
    norm: Array = np.sqrt(x * x + y * y)  # several times as quick as np.hypot
    return norm


def coverage(distance: Array) -> Array:
    """Coverage of a pixel by a shape, from its signed distance in pixels (negative inside)."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def paint(scene: Array, distance: Array, heat: Array | float, opacity: Array | float = 1.0) -> Array:
    """The scene with a shape of one temperature in front of it."""
    cover = coverage(distance) * opacity
    return scene + cover * (heat - scene)
