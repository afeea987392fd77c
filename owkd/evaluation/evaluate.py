"""A checkpoint against a split of a data set: the only road by which a test split is opened."""

from pathlib import Path

from owkd.config import DataConfig
from owkd.data.images import load_images
from owkd.data.index import SplitName, read_split
from owkd.device import DeviceName, pick_device
from owkd.evaluation.embed import embed_images
from owkd.evaluation.protocol import Protocol, Result, evaluate_embeddings
from owkd.models.checkpoint import load_model


def evaluate_checkpoint(
    checkpoint: Path,
    data: DataConfig,
    *,
    fold: str,
    split: SplitName,
    protocol: Protocol = "standard",
    device: DeviceName = "auto",
) -> tuple[Result, int]:
    """Embeds a split with a checkpoint's ensemble -> the protocol's result, and the ensemble's parameter count.

    Raises `DataError` and `CheckpointError`.
    """
    model, info = load_model(checkpoint)
    target = pick_device(device)
    images = read_split(data.root, data.dataset, fold, split)
    pixels = load_images(images, info.image_size, data.cache)
    embeddings = embed_images(model.to(target).embed, pixels, target)
    result = evaluate_embeddings(
        embeddings, images.identities, protocol=protocol, cameras=images.cameras, device=target
    )
    return result, model.parameter_count()


def evaluate(
    checkpoint: Path,
    data: DataConfig,
    *,
    fold: str,
    split: SplitName,
    protocol: Protocol = "standard",
    device: DeviceName = "auto",
) -> dict[str, float]:
    """`evaluate_checkpoint` as plain numbers: mAP, rank-1, mINP (fractions) and parameters."""
    result, parameters = evaluate_checkpoint(checkpoint, data, fold=fold, split=split, protocol=protocol, device=device)
    return {
        "mAP": result.mean_average_precision,
        "rank-1": float(result.cmc[0]),
        "mINP": result.mean_inverse_negative_penalty,
        "parameters": float(parameters),
    }
