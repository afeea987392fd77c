"""How a set of embedded images is turned into queries and galleries, and what is reported of their ranked lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from owkd.config.protocols import PROTOCOLS, Protocol, Refinement, Reranking
from owkd.errors import ConfigError, DataError
from owkd.evaluation.ranking import (
    ExpandedQueries,
    Images,
    MatchRanks,
    Reranked,
    Rows,
    condition,
    left_out,
    rank_identities,
    rank_queries,
)
from owkd.evaluation.settings import Labels, Setting, settings_of

NOTABLE_TIES = 0.01
"""from this share of matches on, a result says that there are ties"""


@dataclass(frozen=True)
class Result:
    """What one protocol measures on one set of images. A query is an image or, in merged and center, an identity.

    Attributes:
        identities: (Q,) identity of each query that has a match, in the order of the images or, per identity, ascending
        average_precision: (Q,) of each of these queries, in [0, 1]
        first_match: (Q,) rank of the closest match, from 1; a mean over orders, where images are equally far. Of a
            protocol whose CMC counts people, it counts them too
        rank_1: (Q,) whether the closest image is a match: 1 or 0; between them, where images are equally far
        cameras: (Q,) camera of each query; None where none were given, or a query is all images of an identity (merged)
        cmc: (20,) share of queries whose first match is at rank 1, at rank 2 or better, ...; constant past a short
            gallery
        mean_inverse_negative_penalty: mean of (matches / rank of the last match); Ye et al., Deep Learning for Person
            Re-identification, 2021
        precision: (101,) mean over queries of the best precision at recall 0, 0.01, ..., 1 or more
        skipped: queries without a match in their gallery; they count nowhere else
        tied: share of the matches that are exactly as far from their query as an image of somebody else
        draws: of each gallery that was drawn by lot, whose mean all of this is; empty where none are drawn
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
    draws: "tuple[Result, ...]" = ()

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
    marked: NDArray[np.bool_] | None = None,
    refinement: Refinement | None = None,
) -> Result:
    """Ranks images by the L2 distance of their embeddings (n, d), which have `identities` (n,) and `cameras` (n,).

    - `standard`: every image is a query against all others.
    - `camera`: standard, without gallery images of the query's own camera, whoever they show.
    - `center`: one query an identity, its centre: the image with the smallest summed distance to its identity's other
      images (the first of equals); against all other images.
    - `merged`: one list an identity: each of its images against all others, all these lists merged and sorted.
    - `market`, `sysu-...` and `regdb-...`: as published for these data sets (`owkd.evaluation.settings`); `market`
      takes the images that are `marked` (n,) as its queries, where they are given, and the others as its gallery.

    `owkd.config.protocols.RULES` has each rule in a line. Computes in float64 when the embeddings are float64, else in
    float32. Of equally far images every order is equally likely, and every figure is its mean over these orders
    (`owkd.evaluation.ranking.ties`): where images stand says nothing, so that embeddings without content score what
    chance gives.

    `refinement` changes the distances: re-ranking, among the queries and their gallery (of each draw, where galleries
    are drawn), or query expansion, by gallery images that the query may see. Protocol `merged` has none.

    Raises `DataError` when there are fewer than two images, lengths differ, an embedding is not finite, a protocol has
    no cameras or finds no queries or no gallery, or no query has a match; `ConfigError` for an unknown protocol, or for
    `merged` with a refinement.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError([f"protocol must be one of {', '.join(PROTOCOLS)}, but got {protocol!r}"], "the evaluation")
    images = _images(embeddings, identities, device)
    labels = Labels(
        np.asarray(identities, dtype=np.int64),
        None if cameras is None else _one_each("cameras", cameras, len(images.identities)).astype(np.int64),
        None if marked is None else _one_each("marked", marked, len(images.identities)).astype(bool),
    )
    if protocol == "merged" and refinement is not None:
        raise ConfigError(["a refinement must have queries, but protocol 'merged' has none"], "the evaluation")
    if protocol == "merged":
        return _result(protocol, labels, None, rank_identities(images))
    if protocol == "center":
        centers = _centers(images)
        return _result(protocol, labels, centers.cpu().numpy(), rank_queries(_refined(images, refinement), centers))
    draws = [
        _result(protocol, labels, setting.queries, _ranked(images, labels, setting, refinement))
        for setting in settings_of(protocol, labels)
    ]
    return draws[0] if len(draws) == 1 else _mean(draws)


def _ranked(images: Images, labels: Labels, setting: Setting, refinement: Refinement | None) -> MatchRanks:
    """The lists of the setting's queries, among no other images than these and the gallery."""
    device = images.embeddings.device
    taken = setting.gallery.copy()
    taken[setting.queries] = True
    positions = torch.as_tensor(np.flatnonzero(taken), device=device)
    queries = torch.as_tensor((np.cumsum(taken) - 1)[setting.queries], device=device)
    people = images.identities[positions]
    cameras = people if labels.cameras is None else torch.as_tensor(labels.cameras, device=device)[positions]
    outside = torch.as_tensor(~setting.gallery, device=device)[positions]
    rule, some_outside = setting.leaves_out, bool(outside.any())

    def hidden(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        left_out = outside[columns].expand(len(rows), -1)
        if rule is None:
            return left_out
        return left_out | rule(people[rows], cameras[rows], people[columns], cameras[columns])

    inside = Images(images.embeddings[positions], people, hidden if rule is not None or some_outside else None)
    return rank_queries(_refined(inside, refinement), queries, by_identity=setting.by_identity)


def _refined(images: Images, refinement: Refinement | None) -> Images:
    if refinement is None:
        return images
    if isinstance(refinement, Reranking):
        distances: Rows = Reranked(images.embeddings, refinement.k1, refinement.k2, refinement.weight)
    else:
        distances = ExpandedQueries(images.embeddings, refinement.neighbours, partial(left_out, images))
    return replace(images, distances=distances)


def _mean(draws: Sequence[Result]) -> Result:
    """Of galleries that have the same queries: the mean of every figure, of every query's too."""

    def mean(figure: Callable[[Result], NDArray[np.float64]]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = np.mean([figure(draw) for draw in draws], axis=0)
        return values

    return replace(
        draws[0],
        average_precision=mean(lambda draw: draw.average_precision),
        first_match=mean(lambda draw: draw.first_match),
        rank_1=mean(lambda draw: draw.rank_1),
        mean_average_precision=float(np.mean([draw.mean_average_precision for draw in draws])),
        cmc=mean(lambda draw: draw.cmc),
        mean_inverse_negative_penalty=float(np.mean([draw.mean_inverse_negative_penalty for draw in draws])),
        precision=mean(lambda draw: draw.precision),
        tied=float(np.mean([draw.tied for draw in draws])),
        draws=tuple(draws),
    )


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


def spread(result: Result) -> dict[str, float]:
    """Standard deviation over the drawn galleries of each figure of `metrics`; empty where none are drawn."""
    tables = [metrics(draw) for draw in result.draws]
    return {name: float(np.std([table[name] for table in tables], ddof=1)) for name in tables[0]} if tables else {}


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
    _one_each("identities", identities, len(values))
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


def _one_each(name: str, values: NDArray[np.generic], count: int) -> NDArray[np.generic]:
    if np.shape(values) != (count,):
        raise DataError(
            f"{name} must be one number an embedding, but got shape {np.shape(values)} for {count} embeddings; pass "
            "those of the same images"
        )
    return np.asarray(values)


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
            "images of an identity (of several cameras, where the protocol leaves out a query's own)"
        )
    return answerable


def _result(protocol: Protocol, labels: Labels, queries: NDArray[np.int64] | None, ranks: MatchRanks) -> Result:
    """`queries`: positions of the images; None: everybody, in ascending order."""
    answerable = _has_match(ranks).numpy()
    people = np.unique(labels.identities) if queries is None else labels.identities[queries]
    cameras = None if queries is None or labels.cameras is None else labels.cameras[queries][answerable]
    average_precision = ranks.average_precision.numpy()[answerable]
    count = answerable.sum()
    return Result(
        protocol=protocol,
        identities=people[answerable],
        average_precision=average_precision,
        first_match=ranks.first.numpy()[answerable],
        rank_1=ranks.rank_1.numpy()[answerable],
        cameras=cameras,
        mean_average_precision=float(average_precision.mean()),
        cmc=ranks.cmc_sum.numpy() / count,
        mean_inverse_negative_penalty=float(ranks.inverse_penalty.numpy()[answerable].mean()),
        precision=ranks.precision_sum.numpy() / count,
        skipped=int((~answerable).sum()),
        tied=float(ranks.tied.sum() / ranks.matches.sum()),
    )
