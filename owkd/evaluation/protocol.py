"""How a set of embedded images is turned into queries and galleries, and what is reported of their ranked lists."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from owkd.errors import ConfigError, DataError
from owkd.evaluation.ranking import Hidden, Images, MatchRanks, condition, rank_identities, rank_queries

Protocol = Literal["merged", "center", "standard", "camera"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

NOTABLE_TIES = 0.01
"""from this share of matches on, a result says that there are ties"""


@dataclass(frozen=True)
class Result:
    """What one protocol measures on one set of images. A query is an image or, in merged and center, an identity.

    Attributes:
        identities: (Q,) identity of each query that has a match, in the order of the images or, per identity, ascending
        average_precision: (Q,) of each of these queries, in [0, 1]
        first_match: (Q,) rank of the closest match, from 1; a mean over orders, where images are equally far
        rank_1: (Q,) whether the closest image is a match: 1 or 0; between them, where images are equally far
        cameras: (Q,) camera of each query; None where none were given, or a query is all images of an identity (merged)
        cmc: (20,) share of queries whose first match is at rank 1, at rank 2 or better, ...; constant past a short
            gallery
        mean_inverse_negative_penalty: mean of (matches / rank of the last match); Ye et al., Deep Learning for Person
            Re-identification, 2021
        precision: (101,) mean over queries of the best precision at recall 0, 0.01, ..., 1 or more
        skipped: queries without a match in their gallery; they count nowhere else
        tied: share of the matches that are exactly as far from their query as an image of somebody else
    """

    protocol: Protocol
    identities: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    first_match: NDArray[np.float64]
    rank_1: NDArray[np.float64]
    cameras: NDArray[np.int64] | None
    mean_average_precision: float
    cmc: NDArray[np.float64]
    mean_inverse_negative_penalty: float
    precision: NDArray[np.float64]
    skipped: int
    tied: float

    @property
    def queries(self) -> int:
        """Number of queries that have a match."""
        return len(self.average_precision)

    @property
    def warning(self) -> str | None:
        """What a reader must know about ties, or None where there are few (`NOTABLE_TIES`)."""
        if self.tied < NOTABLE_TIES:
            return None
        return (
            f"{100 * self.tied:.0f} % of the matches are exactly as far from their query as images of other people "
            "(blank or repeated images, or a model that has collapsed); figures are means over all orders of them"
        )


def evaluate_embeddings(
    embeddings: NDArray[np.floating] | torch.Tensor,
    identities: NDArray[np.integer],
    protocol: Protocol = "standard",
    cameras: NDArray[np.integer] | None = None,
    device: torch.device | str = "cpu",
) -> Result:
    """Ranks images by the L2 distance of their embeddings (n, d), which have `identities` (n,) and `cameras` (n,).

    - `standard`: every image is a query against all others.
    - `camera`: standard, without gallery images of the query's own camera, whoever they show. The Market-1501
      convention is milder: it leaves out only those of the query's own camera that show the query's own identity.
    - `center`: one query an identity, its centre: the image with the smallest summed distance to its identity's other
      images (the first of equals); against all other images.
    - `merged`: one list an identity: each of its images against all others, all these lists merged and sorted.

    Computes in float64 when the embeddings are float64, else in float32. Of equally far images every order is equally
    likely, and every figure is its mean over these orders (`owkd.evaluation.ranking.ties`): where images stand says
    nothing, so that embeddings without content score what chance gives.

    Raises `DataError` when there are fewer than two images, lengths differ, an embedding is not finite, `camera` has
    no cameras, or no query has a match; `ConfigError` for an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError([f"protocol must be one of {', '.join(PROTOCOLS)}, but got {protocol!r}"], "the evaluation")
    images = _images(embeddings, identities, device)
    known = None if cameras is None and protocol != "camera" else _cameras(cameras, images.identities)
    if known is not None and protocol == "camera":
        images = Images(images.embeddings, images.identities, _own_camera(known))
    if protocol == "merged":
        return _result(protocol, images.identities.unique(), None, rank_identities(images))
    queries = _centers(images) if protocol == "center" else torch.arange(len(embeddings), device=device)
    own = known[queries] if known is not None else None
    return _result(protocol, images.identities[queries], own, rank_queries(images, queries))


def center_validation_accuracy(
    embeddings: NDArray[np.floating] | torch.Tensor,
    identities: NDArray[np.integer],
    device: torch.device | str = "cpu",
) -> float:
    """Mean over identities of 1 - wrong / (n - 1), in [0, 1].

    `wrong` counts the other people's images that the ranked list of the identity's centre shows before the last image
    of the identity, on average over the orders of equally far ones. Identities with a single image have nothing to find
    and count nowhere.

    embeddings (n, d), identities (n,). Raises `DataError` as `evaluate_embeddings` does.
    """
    images = _images(embeddings, identities, device)
    ranks = rank_queries(images, _centers(images))
    answerable = _has_match(ranks)
    wrong = (ranks.last - ranks.matches)[answerable]
    return float((1 - wrong / (len(embeddings) - 1)).mean())


def metrics(result: Result) -> dict[str, float]:
    """The headline numbers by their usual names: mAP, rank-1 ... rank-20, mINP, queries, skipped."""
    return {
        "mAP": result.mean_average_precision,
        **{f"rank-{rank}": float(value) for rank, value in enumerate(result.cmc, start=1)},
        "mINP": result.mean_inverse_negative_penalty,
        "queries": float(result.queries),
        "skipped": float(result.skipped),
    }


def _images(
    embeddings: NDArray[np.floating] | torch.Tensor, identities: NDArray[np.integer], device: torch.device | str
) -> Images:
    # torch warns of arrays that nobody may write to, such as columns of a file: those are copied
    values = torch.as_tensor(embeddings if isinstance(embeddings, torch.Tensor) else np.require(embeddings, None, "W"))
    values = values.detach()
    if values.ndim != 2:
        raise DataError(f"embeddings must have one row an image, but got shape {tuple(values.shape)}; stack them")
    if len(values) < 2:
        raise DataError(f"ranking needs at least two images, but got {len(values)}; give a larger split")
    if np.shape(identities) != (len(values),):
        raise DataError(
            f"identities must be one number an embedding, but got shape {np.shape(identities)} for {len(values)} "
            "embeddings; pass those of the same images"
        )
    if values.dtype != torch.float64:
        values = values.float()
    values = values.to(device)
    finite = values.isfinite().all(dim=1)
    if not bool(finite.all()):
        raise DataError(
            f"embeddings must be finite, but {int((~finite).sum())} of {len(values)} are not, the first at index "
            f"{int((~finite).nonzero()[0])}; check the checkpoint and that image"
        )
    return Images(
        condition(values),
        torch.as_tensor(np.asarray(identities, dtype=np.int64), device=values.device),
    )


def _cameras(cameras: NDArray[np.integer] | None, identities: torch.Tensor) -> torch.Tensor:
    if cameras is None:
        raise DataError(
            "protocol 'camera' needs the camera of every image, but these file and folder names carry none; "
            "use protocol 'standard'"
        )
    if np.shape(cameras) != tuple(identities.shape):
        raise DataError(
            f"cameras must be one number an embedding, but got shape {np.shape(cameras)} for {len(identities)} "
            "embeddings; pass those of the same images"
        )
    return torch.as_tensor(np.asarray(cameras, dtype=np.int64), device=identities.device)


def _own_camera(cameras: torch.Tensor) -> Hidden:
    return lambda queries, columns: cameras[queries] == cameras[columns]


def _centers(images: Images) -> torch.Tensor:
    """Position of the centre of each identity, identities ascending: (I,) int64."""
    centers = []
    for identity in images.identities.unique():
        members = torch.nonzero(images.identities == identity).squeeze(1)
        own = images.embeddings[members]
        # The plain formula is symmetric to the last bit, so that the two images of a pair are equally central.
        # Sorted, equal distances also have equal sums, in whatever order the images come.
        sums = [
            torch.cdist(part, own, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values.sum(1)
            for part in own.split(1024)
        ]
        centers.append(members[torch.cat(sums).argmin()])
    return torch.stack(centers)


def _has_match(ranks: MatchRanks) -> torch.Tensor:
    answerable = ranks.matches > 0
    if not bool(answerable.any()):
        raise DataError(
            f"at least one query must have a match in its gallery, but none of {len(answerable)} has; give several "
            "images of an identity (protocol 'camera': of several cameras)"
        )
    return answerable


def _result(protocol: Protocol, identities: torch.Tensor, cameras: torch.Tensor | None, ranks: MatchRanks) -> Result:
    answerable = _has_match(ranks)
    average_precision = ranks.average_precision[answerable]
    return Result(
        protocol=protocol,
        identities=identities.cpu()[answerable].numpy(),
        average_precision=average_precision.numpy(),
        first_match=ranks.first[answerable].numpy(),
        rank_1=ranks.rank_1[answerable].numpy(),
        cameras=cameras.cpu()[answerable].numpy() if cameras is not None else None,
        mean_average_precision=float(average_precision.mean()),
        cmc=(ranks.cmc_sum / answerable.sum()).numpy(),
        mean_inverse_negative_penalty=float(ranks.inverse_penalty[answerable].mean()),
        precision=(ranks.precision_sum / answerable.sum()).numpy(),
        skipped=int((~answerable).sum()),
        tied=float(ranks.tied.sum() / ranks.matches.sum()),
    )
