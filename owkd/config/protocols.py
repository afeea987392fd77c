"""The evaluation protocols by name, each with the rule that counts, and what may be done to their lists."""

from dataclasses import dataclass
from typing import Literal, get_args

from owkd.errors import UserError

Protocol = Literal[
    "standard",
    "merged",
    "center",
    "camera",
    "market",
    "sysu-all-single",
    "sysu-all-multi",
    "sysu-indoor-single",
    "sysu-indoor-multi",
    "regdb-thermal",
    "regdb-thermal-to-visible",
    "regdb-visible-to-thermal",
]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

_SYSU = (
    "infrared queries (cameras 3 and 6) against {shots} of each person and camera {cameras}, camera 2 left out for "
    "camera 3; CMC by person; mean of ten galleries drawn by lot"
)
RULES: dict[Protocol, str] = {
    "standard": "every image against all others, those of its own camera too",
    "merged": "one list a person: each image against all others, merged (published for DBPerson-Recog-DB1)",
    "center": "each person's central image against all others (published for OWKD on SYSU-MM01)",
    "camera": (
        "every image against all of other cameras; unlike the Market rule, other people seen by the query's own camera "
        "are left out too"
    ),
    "market": (
        "Market-1501: images of the query's own person and camera are left out, junk (-1) counts nowhere, distractors "
        "(0) are nobody's match; queries are the files called query_..., or all"
    ),
    "sysu-all-single": _SYSU.format(shots="one image", cameras="1, 2, 4 and 5"),
    "sysu-all-multi": _SYSU.format(shots="ten images", cameras="1, 2, 4 and 5"),
    "sysu-indoor-single": _SYSU.format(shots="one image", cameras="1 and 2"),
    "sysu-indoor-multi": _SYSU.format(shots="ten images", cameras="1 and 2"),
    "regdb-thermal": "every thermal image (camera 2) against all other thermal ones",
    "regdb-thermal-to-visible": "every thermal image (camera 2) against all visible ones (camera 1)",
    "regdb-visible-to-thermal": "every visible image (camera 1) against all thermal ones (camera 2)",
}
"""in one line each"""
WITHOUT_CAMERAS: tuple[Protocol, ...] = ("standard", "merged", "center")
"""all others need the camera of every image"""


@dataclass(frozen=True)
class Reranking:
    """k-reciprocal re-ranking with its published settings (Zhong et al. 2017): `owkd.evaluation.ranking.rerank`.

    Attributes:
        k1: neighbours that are looked at in both directions
        k2: images that each image's neighbourhood is averaged over, itself among them
        weight: of the original distance, in [0, 1]
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 < 1 or not 1 <= self.k2 <= self.k1 + 1 or not 0 <= self.weight <= 1:
            raise UserError(
                "re-ranking must have k1 >= 1, k2 from 1 to k1 + 1 and a weight from 0 to 1, but got "
                f"k1={self.k1}, k2={self.k2}, weight={self.weight}; set --rerank-k1, --rerank-k2 or --rerank-weight"
            )

    def __str__(self) -> str:
        return f"re-ranked with k1={self.k1}, k2={self.k2}, weight={self.weight:g}"


@dataclass(frozen=True)
class QueryExpansion:
    """Each query with its nearest images as one (Chum et al. 2007): `owkd.evaluation.ranking.expansion`.

    Attributes:
        neighbours: how many
    """

    neighbours: int = 10

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise UserError(
                f"a query must be expanded by at least one image, but got {self.neighbours}; set --query-expansion"
            )

    def __str__(self) -> str:
        return f"queries expanded by {self.neighbours} images each"


Refinement = Reranking | QueryExpansion
