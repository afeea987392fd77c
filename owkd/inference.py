"""A model in use: images of any kind in, embeddings out; the preprocessing of its training is inside.

Shapes: n images, H x W of an image, S the model's image size, D embedding size.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from owkd.data.reading.picture import as_rgb, decode_whole, resized, unreadable_because
from owkd.data.reading.window import Window, as_grey
from owkd.device import DeviceName, pick_device
from owkd.errors import DataError
from owkd.evaluation.embed import BATCH_SIZE, embed_images
from owkd.models.checkpoint import ModelInfo, load_model, model_file
from owkd.models.wse import WseNet

ImageLike = str | PathLike[str] | Image.Image | NDArray[Any]
"""the path of a file; a Pillow image; or an array: grey values (H, W) of any kind, or 8-bit RGB (H, W, 3)"""


class Model:
    """A teacher or student that was loaded from its file.

    ```python
    model = Model.load("runs/quick/retrain/champion")
    embeddings = model.embed(["query.png", "gallery.png"])  # (2, D)
    distance = np.linalg.norm(embeddings[0] - embeddings[1])
    ```

    Attributes:
        network: the ensemble, in evaluation mode, on its device
        info: what its file says of it
    """

    def __init__(self, network: WseNet, info: ModelInfo, device: DeviceName = "auto") -> None:
        self.device = pick_device(device)
        self.network = network.to(self.device)
        self.info = info

    @classmethod
    def load(cls, path: str | PathLike[str], *, device: DeviceName = "auto") -> Self:
        """Loads a model file, or the one in the folder of a champion. `auto` takes a GPU where there is one.

        Raises `CheckpointError` where there is no such file, or it is damaged.
        """
        return cls(*load_model(model_file(path)), device)

    @property
    def image_size(self) -> int:
        """S: the side, in pixels, to which every image is resized."""
        return self.info.image_size

    @property
    def window(self) -> Window:
        """Which grey values of images of more than 8 bits are black and white; None: 0 and 65536."""
        return self.info.window

    @property
    def num_parameters(self) -> int:
        """Learnable scalars that an embedding needs."""
        return self.network.parameter_count()

    def embed(self, images: ImageLike | Iterable[ImageLike], *, batch_size: int = BATCH_SIZE) -> NDArray[np.float32]:
        """Embeddings (n, D) of images, an array (n, H, W, 3) among them; (D,) of a single one.

        Closer, in Euclidean distance, is more alike. Each image is turned upright, brought into the model's window
        where it has more than 8 bits, and resized to S x S, as for training. All of them are held decoded, 3 S^2 bytes
        each, until the last is embedded; `batch_size` pass through the networks at a time.

        Raises `DataError` naming the first image that cannot be read, or that is none.
        """
        if isinstance(images, np.ndarray) and images.ndim == 4:
            images = list(images)
        if isinstance(images, str | PathLike | Image.Image | np.ndarray):
            first: NDArray[np.float32] = self.embed([images], batch_size=batch_size)[0]
            return first
        pixels = [self.preprocess(image) for image in images]
        if not pixels:
            raise DataError("embed needs at least one image, but got none")
        return embed_images(self.network.embed, np.stack(pixels), self.device, batch_size).cpu().numpy()

    def preprocess(self, image: ImageLike) -> NDArray[np.uint8]:
        """What the networks see of an image: uint8 (S, S, 3). Raises `DataError`."""
        return resized(self._as_rgb(image), self.image_size)

    def _as_rgb(self, image: ImageLike) -> Image.Image:
        if isinstance(image, str | PathLike):
            try:
                return decode_whole(Path(image), self.window)
            except FileNotFoundError as error:
                raise DataError(f"no such image: {image}") from error
            except Exception as error:  # decoders raise what they like
                raise DataError(f"{image} cannot be read: {unreadable_because(Path(image), error)}") from error
        try:
            if isinstance(image, Image.Image):
                return as_rgb(image, self.window)
            return _array_as_rgb(np.asarray(image), self.window)
        except (OSError, ValueError) as error:
            raise DataError(f"an image of {type(image).__name__} cannot be read: {error}") from error


def _array_as_rgb(values: NDArray[Any], window: Window) -> Image.Image:
    """Raises `ValueError` for what is no image."""
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] == 3:
        return Image.fromarray(values)
    if values.ndim != 2 or values.dtype.kind not in "uif" or not values.size:
        raise ValueError(
            f"it must be (H, W) of grey values or (H, W, 3) of 8-bit RGB, but is {values.shape} of {values.dtype}"
        )
    return Image.fromarray(values if values.dtype == np.uint8 else as_grey(values, window)).convert("RGB")
