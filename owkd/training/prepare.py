"""What training needs before its first step: device, seeds, splits, networks."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from owkd.config import EPOCH_METRICS, VALIDATION, Config, Start
from owkd.data.images import load_images
from owkd.data.index import Split, read_split
from owkd.data.reading.survey import pixel_fingerprint, window_for
from owkd.data.reading.window import Window
from owkd.data.sampler import identity_batches
from owkd.errors import DataError, DivergedError
from owkd.evaluation.protocol import Result, center_validation_accuracy, evaluate_embeddings, metrics
from owkd.models.imagenet import official_file, start_from_imagenet
from owkd.models.presets import Architecture, architecture
from owkd.models.wse import Role, WseNet
from owkd.training.loop import TrainingSet


@dataclass(frozen=True)
class FoldData:
    """Training and validation images of one fold, decoded.

    Attributes:
        validation_images: (m, S, S, 3) uint8
        window: of grey values, of training and validation images alike
        fingerprints: of the pixels of training and validation split
    """

    train: Split
    validation: Split
    training_set: TrainingSet
    validation_images: np.ndarray
    window: Window
    fingerprints: tuple[str, str]

    @property
    def identities(self) -> tuple[int, ...]:
        """Identity number behind each class, in the order of the classes."""
        return tuple(int(identity) for identity in np.unique(self.train.identities))


def open_fold(config: Config, fold: str) -> FoldData:
    """Reads training and validation split of a fold; the test split stays closed. Raises `DataError`."""
    data = config.data
    train, validation = (read_split(data.root, data.dataset, fold, split) for split in ("train", "validation"))
    require_learnable(train, validation)
    window = window_for(train, data)
    images, validation_images = (
        load_images(split, data.image_size, data.cache, window) for split in (train, validation)
    )
    return FoldData(
        train,
        validation,
        TrainingSet(images, train.labels),
        validation_images,
        window,
        (pixel_fingerprint(train, window, data.cache), pixel_fingerprint(validation, window, data.cache)),
    )


def require_learnable(train: Split, validation: Split) -> None:
    """Raises `DataError` where there is nobody to tell apart, or nobody of validation can be recognised."""
    if train.num_identities < 2:
        raise DataError(
            f"a training must have two people to tell apart, but {train.folder} holds {train.num_identities}; add one"
        )
    if np.unique(validation.identities, return_counts=True)[1].max() < 2:
        raise DataError(
            f"somebody of the validation split must have a second image to be recognised by, but nobody in "
            f"{validation.folder} has; add images"
        )


def build_network(shape: Architecture, num_classes: int, image_size: int, role: Role, seed: int) -> WseNet:
    """A network whose first weights depend on the seed alone; the global generators stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WseNet(shape, num_classes, image_size, role)


def initial_network(start: Start, num_classes: int, image_size: int, role: Role, seed: int) -> WseNet:
    """`build_network` as configured: with `init: imagenet` the backbones then take the official weights.

    Raises `CheckpointError` when there are none or they do not fit.
    """
    model = build_network(architecture(start.preset, start.depths), num_classes, image_size, role, seed)
    if start.init == "imagenet":
        start_from_imagenet(model, start.init_file or official_file(start.preset))
    return model


def batch_maker(
    labels: np.ndarray, batch_size: int, images_per_identity: int
) -> Callable[[np.random.Generator], list[np.ndarray]]:
    """The batches of an epoch as a function of that epoch's generator."""
    return partial(identity_batches, labels, batch_size, images_per_identity)


def validation_ranking(embeddings: Tensor, split: Split) -> Result:
    """What is ranked where, standard protocol, of (n, D) embeddings."""
    return evaluate_embeddings(embeddings, split.identities, protocol="standard", device=embeddings.device)


def validation_metrics(embeddings: Tensor, split: Split, ranking: Result | None = None) -> dict[str, float]:
    """The metrics of every epoch (`owkd.config.EPOCH_METRICS`) of (n, D) embeddings, whose ranking may be known.

    Raises `DivergedError` where an embedding is not finite: finite weights may still overflow.
    """
    if not bool(torch.isfinite(embeddings).all()):
        raise DivergedError(f"embeddings of the validation split must be finite, but those of {split.folder} are not")
    result = validation_ranking(embeddings, split) if ranking is None else ranking
    measured = metrics(result) | {"center_accuracy": center_validation_accuracy(embeddings, split.identities)}
    return {name: measured[name.removeprefix(VALIDATION)] for name in EPOCH_METRICS}


def signature(**parts: Any) -> str:
    """Digest of plain values: equal exactly when all of them are."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def digest_of(path: Path | None) -> str | None:
    """SHA-256 of a file, None for none; computed once a process for as long as the file does not change."""
    if path is None:
        return None
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def module_dict(**modules: nn.Module) -> nn.ModuleDict:
    """Networks as one module, so that one state dict holds them all."""
    return nn.ModuleDict(modules)
