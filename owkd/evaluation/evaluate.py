"""A checkpoint against a split of a data set: the only road by which a test split is opened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from owkd.config import TEST_METRICS, DataConfig
from owkd.config.protocols import WITHOUT_CAMERAS, Protocol, Refinement
from owkd.data.index import Split, SplitName, camera_number, read_split
from owkd.data.readable import Say, read_images, say_nothing
from owkd.device import DeviceName, pick_device
from owkd.errors import DataError
from owkd.evaluation.embed import BATCH_SIZE, embed_images
from owkd.evaluation.protocol import Result, evaluate_embeddings, metrics
from owkd.evaluation.query_table import query_rows
from owkd.formatting import format_duration
from owkd.models.checkpoint import load_model, model_file

if TYPE_CHECKING:
    import pyarrow as pa

QUERY_PREFIX = "query_"


def evaluate_dataset(
    checkpoint: str | PathLike[str],
    dataset: str | PathLike[str],
    *,
    fold: str = "Fold1",
    split: SplitName = "test",
    protocol: Protocol = "standard",
    device: DeviceName = "auto",
    refinement: Refinement | None = None,
) -> Result:
    """How well a model finds people of a split: `checkpoint` is its file, or the folder of a champion; `dataset` the
    folder that holds the folds.

    ```python
    result = evaluate_dataset("runs/quick/retrain/champion", "data/Synthetic_thermal")
    print(result.mean_average_precision, result.cmc[0])  # mAP and rank-1, fractions
    ```

    Raises `DataError` where the split is not there or cannot be read, and `CheckpointError`.
    """
    folder = Path(dataset)
    data = DataConfig(root=folder.parent, dataset=folder.name)
    return evaluate_checkpoint(
        model_file(checkpoint), data, fold=fold, split=split, protocol=protocol, device=device, refinement=refinement
    )[0]


def evaluate_checkpoint(
    checkpoint: Path,
    data: DataConfig,
    *,
    fold: str,
    split: SplitName,
    protocol: Protocol = "standard",
    device: DeviceName = "auto",
    skip_unreadable: bool = False,
    say: Say = say_nothing,
    refinement: Refinement | None = None,
) -> tuple[Result, int]:
    """`evaluate_protocols` with a single protocol."""
    results, parameters = evaluate_protocols(
        checkpoint,
        data,
        fold=fold,
        split=split,
        protocols=(protocol,),
        device=device,
        skip_unreadable=skip_unreadable,
        say=say,
        refinement=refinement,
    )
    return results[protocol], parameters


def evaluate_protocols(
    checkpoint: Path,
    data: DataConfig,
    *,
    fold: str,
    split: SplitName,
    protocols: Sequence[Protocol],
    device: DeviceName = "auto",
    batch_size: int = BATCH_SIZE,
    skip_unreadable: bool = False,
    say: Say = say_nothing,
    refinement: Refinement | None = None,
) -> tuple[dict[Protocol, Result], int]:
    """Embeds a split once with a checkpoint's ensemble -> each protocol's result, and the ensemble's parameter count.

    `batch_size` images are embedded at a time, in the model's own window of grey values. Images that cannot be read are
    an error, or left out with `skip_unreadable`. `say` gets a line on what should be known of the images, and
    on the time that a `refinement` of the lists took.
    Raises `DataError` and `CheckpointError`.
    """
    model, info = load_model(checkpoint)
    target = pick_device(device)
    images = read_split(data.root, data.dataset, fold, split)
    for protocol in protocols:
        _require_cameras(images, protocol)
    read = read_images(images, info.image_size, data.cache, info.window, skip_unreadable=skip_unreadable, say=say)
    images = read.split
    embeddings = embed_images(model.to(target).embed, read.pixels, target, batch_size)
    start = time.perf_counter()
    results = {
        protocol: evaluate_embeddings(
            embeddings,
            images.identities,
            protocol=protocol,
            cameras=images.cameras,
            device=target,
            marked=_marked(images),
            refinement=refinement,
        )
        for protocol in protocols
    }
    if refinement is not None:
        say(f"{refinement}, in {format_duration(time.perf_counter() - start)}, which ranking is part of")
    return results, model.parameter_count()


def _require_cameras(images: Split, protocol: Protocol) -> None:
    unknown = [path for path in images.paths if camera_number(path) is None]
    if unknown and protocol not in WITHOUT_CAMERAS:
        raise DataError(
            f"protocol {protocol!r} needs the camera of every image, but {len(unknown)} of {len(images.paths)} carry "
            f"none in file or folder name, the first {images.folder / unknown[0]}; name them as cam3_0001.png, or use "
            "protocol 'standard'"
        )


def _marked(images: Split) -> NDArray[np.bool_] | None:
    """Which images the data set names as queries, by their names; None where it names none."""
    marked = np.array([PurePosixPath(path).name.startswith(QUERY_PREFIX) for path in images.paths])
    return marked if marked.any() else None


def evaluate(
    checkpoint: Path,
    data: DataConfig,
    *,
    fold: str,
    split: SplitName,
    protocol: Protocol = "standard",
    device: DeviceName = "auto",
) -> tuple[dict[str, float], pa.Table]:
    """`evaluate_checkpoint` as plain numbers, and `query_rows`.

    The numbers are `owkd.config.TEST_METRICS` (fractions) and parameters.
    """
    result, parameters = evaluate_checkpoint(checkpoint, data, fold=fold, split=split, protocol=protocol, device=device)
    measured = metrics(result)
    numbers = {name: measured[name] for name in TEST_METRICS} | {"parameters": float(parameters)}
    return numbers, query_rows(result)
