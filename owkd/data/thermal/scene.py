"""An image of a person: what is behind, what is in front, and what the sensor makes of it.

Shapes: n images of one person, S image side in pixels; arrays over pixels are (n, S, S), over images (n, 1, 1).
"""

import numpy as np
from numpy.typing import NDArray

from owkd.data.thermal import difficulty
from owkd.data.thermal.figure import draw_figure
from owkd.data.thermal.people import Traits
from owkd.data.thermal.raster import Array, column, coverage, normal, paint, pixels, smooth_field, uniform


def draw_images(traits: Traits, cameras: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Grey images (n, size, size) of one person, one for each entry of `cameras` (n,), 0 to 2."""
    n = len(cameras)
    scene = _background(n, size, rng) + column(np.array(difficulty.CAMERA_AIR)[cameras])
    scene = draw_figure(scene, traits, size, rng)
    scene = _occlude(scene, size, rng)
    return _sense(scene, cameras, size, rng)


def _background(n: int, size: int, rng: np.random.Generator) -> Array:
    x, y = pixels(size)
    scene = uniform(rng, difficulty.BACKGROUND_HEAT, n) + difficulty.BACKGROUND_TEXTURE * smooth_field(n, size, 6, rng)
    horizon = uniform(rng, (0.35, 0.9), n)
    scene = scene + uniform(rng, (-0.12, 0.12), n) * coverage((y - horizon) * size)
    for _ in range(difficulty.WARM_OBJECTS):
        half_width, half_height = uniform(rng, (0.03, 0.16), n), uniform(rng, (0.03, 0.25), n)
        box = np.maximum(
            np.abs(x - uniform(rng, (0, 1), n)) - half_width, np.abs(y - uniform(rng, (0, 1), n)) - half_height
        )
        present = column((rng.random(n) < difficulty.WARM_OBJECT_CHANCE).astype(np.float64))
        scene = paint(scene, box * size, uniform(rng, difficulty.WARM_OBJECT_HEAT, n), present)
    return scene


def _occlude(scene: Array, size: int, rng: np.random.Generator) -> Array:
    n = len(scene)
    x, y = pixels(size)
    extent = uniform(rng, difficulty.OCCLUDER_WIDTH, n)
    post = np.abs(x - uniform(rng, (0.2, 0.8), n)) - extent / 2
    wall = (1.0 - extent) - y
    upright = column(rng.random(n)) < 0.5
    present = column((rng.random(n) < difficulty.OCCLUSION).astype(np.float64))
    heat = uniform(rng, (0.1, 0.55), n)
    return paint(scene, np.where(upright, post, wall) * size, heat, present)


def _sense(scene: Array, cameras: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    n = len(scene)
    x, y = pixels(size)
    scene = _blur(scene, rng.uniform(*difficulty.BLUR, n) * size / 64)
    gain = column(np.array(difficulty.CAMERA_GAIN)[cameras]) * (1.0 + normal(rng, difficulty.GAIN_DRIFT, n))
    offset = column(np.array(difficulty.CAMERA_OFFSET)[cameras]) + normal(rng, difficulty.OFFSET_DRIFT, n)
    slope_x, slope_y = (uniform(rng, (-difficulty.GRADIENT, difficulty.GRADIENT), n) for _ in range(2))
    grey = gain * scene + offset + slope_x * (x - 0.5) + slope_y * (y - 0.5)
    grey = grey + rng.normal(0.0, difficulty.PIXEL_NOISE, grey.shape)
    grey = grey + rng.normal(0.0, difficulty.ROW_NOISE, (n, size, 1))
    return np.rint(np.clip(grey, 0.0, 1.0) * 255).astype(np.uint8)


def _blur(scene: Array, sigma: NDArray[np.float64]) -> Array:
    """Gaussian blur, each image (n) with its own sigma in pixels."""
    size = scene.shape[1]
    offset = np.arange(size)[:, None] - np.arange(size)[None, :]
    kernel = np.exp(-0.5 * (offset / np.maximum(sigma, 1e-3)[:, None, None]) ** 2)
    kernel /= kernel.sum(axis=2, keepdims=True)
    blurred: Array = kernel @ scene @ kernel.transpose(0, 2, 1)
    return blurred
