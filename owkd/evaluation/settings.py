"""Who is looked for among what: queries and gallery of each protocol, by what is known of the images.

Shapes: n images, Q queries.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from owkd.config.protocols import RULES, Protocol
from owkd.errors import DataError

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""identity and camera of queries, then of images: whether these images are left out of the lists of these queries"""

JUNK_BELOW, DISTRACTOR = 0, 0
SYSU_QUERIES = (3, 6)
SYSU_GALLERY = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
SYSU_SHOTS = {"single": 1, "multi": 10}
SYSU_DRAWS = 10
REGDB_CAMERAS = {"visible": 1, "thermal": 2}


@dataclass(frozen=True)
class Labels:
    """What is known of n images.

    Attributes:
        identities: (n,)
        cameras: (n,), or None where it is not known of every image
        marked: (n,) whether the data set itself names an image as a query; None where it names none
    """

    identities: NDArray[np.int64]
    cameras: NDArray[np.int64] | None = None
    marked: NDArray[np.bool_] | None = None

    def cameras_for(self, protocol: Protocol) -> NDArray[np.int64]:
        """The cameras. Raises `DataError` where they are not known."""
        if self.cameras is None:
            raise DataError(
                f"protocol {protocol!r} needs the camera of every image, but they are not known; name the files as "
                "cam3_0001.png, or use protocol 'standard'"
            )
        return self.cameras


@dataclass(frozen=True)
class Setting:
    """One set of queries with one gallery.

    Attributes:
        queries: (Q,) positions, ascending
        gallery: (n,) whether an image may be in a list; a query never meets itself
        leaves_out: what else is not in which list
        by_identity: whether CMC counts people instead of images, each where the closest image stands
    """

    queries: NDArray[np.int64]
    gallery: NDArray[np.bool_]
    leaves_out: Rule | None = None
    by_identity: bool = False


def settings_of(protocol: Protocol, labels: Labels) -> Iterator[Setting]:
    """The settings whose mean the protocol is: one, or ten galleries of SYSU-MM01. Not of `merged` and `center`.

    Raises `DataError` where cameras are not known, or no image can be a query, or none can be in the gallery.
    """
    everything = np.ones(len(labels.identities), dtype=bool)
    if protocol == "standard":
        yield Setting(np.arange(len(everything)), everything)
    elif protocol == "camera":
        labels.cameras_for(protocol)
        yield Setting(np.arange(len(everything)), everything, lambda _, camera, __, other: camera == other)
    elif protocol == "market":
        yield _market(labels)
    elif protocol.startswith("sysu"):
        yield from _sysu(protocol, labels)
    else:
        yield _regdb(protocol, labels)


def _market(labels: Labels) -> Setting:
    """Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015, as its evaluation code counts.

    Images of a query's own person and camera are in no list of it; those with an identity below 0 (junk) in no list at
    all. Identity 0 (distractors) is nobody: in every list, never a match and never a query. Where the data set names
    its queries, the others are the gallery; else every image is a query against all others.
    """
    labels.cameras_for("market")
    known = labels.identities >= JUNK_BELOW
    person = labels.identities > DISTRACTOR
    marked = np.ones_like(person) if labels.marked is None else labels.marked
    gallery = known if labels.marked is None else known & ~labels.marked
    queries = np.flatnonzero(person & marked)
    return _some("market", queries, gallery, _own_person_and_camera)


def _own_person_and_camera(identity: Tensor, camera: Tensor, other: Tensor, other_camera: Tensor) -> Tensor:
    return (identity == other) & (camera == other_camera)


def _sysu(protocol: Protocol, labels: Labels) -> Iterator[Setting]:
    """Wu et al., RGB-Infrared Cross-Modality Person Re-Identification, ICCV 2017; as the published evaluation counts.

    Infrared queries of cameras 3 and 6. A gallery has one image (single shot), or ten (multi shot) where there are as
    many, of each person and visible camera; draw t is that of Python's `random.seed(t)`, person after person and camera
    after camera, which for single shot are the galleries of the usual code (`random.choice` of the sorted files).
    Cameras 2 and 3 stand at one place: a query of camera 3 does not see camera 2, whoever is shown there.
    """
    _, mode, shots = protocol.split("-")
    cameras = labels.cameras_for(protocol)
    queries = np.flatnonzero(np.isin(cameras, SYSU_QUERIES))
    for draw in range(SYSU_DRAWS):
        lots = random.Random(draw)
        gallery = np.zeros(len(cameras), dtype=bool)
        for images in _by_person_and_camera(labels.identities, cameras, SYSU_GALLERY[mode]):
            one = SYSU_SHOTS[shots] == 1
            gallery[lots.choice(images) if one else lots.sample(images, min(SYSU_SHOTS[shots], len(images)))] = True
        yield _some(
            protocol, queries, gallery, lambda _, camera, __, other: (camera == 3) & (other == 2), by_identity=True
        )


def _by_person_and_camera(
    identities: NDArray[np.int64], cameras: NDArray[np.int64], wanted: tuple[int, ...]
) -> Iterator[list[int]]:
    """Positions of the images of each person on each of these cameras, where there are any; images in their order."""
    order = np.lexsort((cameras, identities))
    order = order[np.isin(cameras[order], wanted)]
    keys = np.stack([identities[order], cameras[order]], axis=1)
    ends = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    yield from (images.tolist() for images in np.split(order, ends) if len(images))


def _regdb(protocol: Protocol, labels: Labels) -> Setting:
    """Nguyen et al., Sensors 17(3), 605, 2017: camera 1 is the visible one, camera 2 the thermal one.

    Within thermal images a query meets all others; published figures look for one kind of image among the other.
    """
    kinds = protocol.removeprefix("regdb-").split("-to-")
    cameras = labels.cameras_for(protocol)
    queries, gallery = cameras == REGDB_CAMERAS[kinds[0]], cameras == REGDB_CAMERAS[kinds[-1]]
    return _some(protocol, np.flatnonzero(queries), gallery, None)


def _some(
    protocol: Protocol,
    queries: NDArray[np.int64],
    gallery: NDArray[np.bool_],
    leaves_out: Rule | None,
    by_identity: bool = False,
) -> Setting:
    if len(queries) == 0 or not gallery.any():
        what = "queries" if len(queries) == 0 else "images in the gallery"
        raise DataError(
            f"protocol {protocol!r} must have queries and a gallery, but this split has no {what}; prepare the data "
            f"set with all cameras that it takes ({RULES[protocol]}), or use protocol 'standard'"
        )
    return Setting(queries, gallery, leaves_out, by_identity)
