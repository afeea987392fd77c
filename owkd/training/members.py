"""Each member of an ensemble on a validation split, by the very metrics that every epoch of a training is measured by.

Shapes: B batch, n images of the split, Q queries, S image size, C_3 and G embedding sizes of backbones and GCE-Net.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from owkd.config import DataConfig, TrainConfig
from owkd.data.images import load_images
from owkd.data.index import read_split
from owkd.device import autocast, pick_device
from owkd.evaluation.embed import embed_images
from owkd.models.checkpoint import load_model
from owkd.models.outputs import MEMBERS, EnsembleOutput
from owkd.training.prepare import validation_metrics, validation_ranking


@dataclass(frozen=True, eq=False)
class MemberScores:
    """What one member scored.

    Attributes:
        metrics: by name, `owkd.config.EPOCH_METRICS`
        identities: (Q,) who is looked for; queries without a match are left out
        average_precision: (Q,) in [0, 1]; its mean is val/mAP
    """

    metrics: dict[str, float]
    identities: np.ndarray
    average_precision: np.ndarray


def validate_members(
    checkpoint: Path, data: DataConfig, train: TrainConfig, fold: str, device: str = "auto"
) -> dict[str, MemberScores]:
    """Embeds the validation split of a fold once -> scores by member; those of GCE-Net are the whole ensemble's.

    Precision and batch size are those of a training (`train`). Raises `DataError` and `CheckpointError`.
    """
    model, info = load_model(checkpoint)
    where = pick_device(device)  # type: ignore[arg-type]
    model.to(where)
    split = read_split(data.root, data.dataset, fold, "validation")
    images = load_images(split, info.image_size, data.cache, info.window)

    def embed(batch: Tensor) -> Tensor:
        output: EnsembleOutput = model(batch)
        return torch.cat([member.embedding for member in output.members.values()], dim=1)

    with autocast(where, train.precision):
        joined = embed_images(embed, images, where, train.validation_batch_size)
    sizes = [info.shape.dims[3], info.shape.dims[3], info.shape.gce_channels]
    scores = {}
    for name, part in zip(MEMBERS, joined.split(sizes, dim=1), strict=True):
        embeddings = part.contiguous()
        ranking = validation_ranking(embeddings, split)
        metrics = validation_metrics(embeddings, split, ranking)
        scores[name] = MemberScores(metrics, np.asarray(ranking.identities), np.asarray(ranking.average_precision))
    return scores
