"""P x K batches: P identities with K images each, so that a triplet loss finds positives and negatives."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from owkd.errors import ConfigError

Indices = NDArray[np.int64]
FAIR_SHARE = 0.75
"""of the images that an epoch should show"""


def identity_batches(
    labels: NDArray[np.integer], batch_size: int, images_per_identity: int, generator: np.random.Generator
) -> list[Indices]:
    """Index arrays of one epoch, each of `batch_size` positions in `labels` (n,).

    Each identity's shuffled images are cut into groups of K = `images_per_identity`, the last one filled up by drawing
    from that identity's other images again; a batch is P = `batch_size` / K groups. So an image occurs once an epoch,
    but for those fillings and for the groups that do not make a whole batch. No identity is in a batch twice, unless
    there are fewer than P identities. K = 1 is a plain shuffle. The only batch of a small data set may be short.

    The number of batches depends on the labels alone, not on the generator.

    Raises `ConfigError` when `batch_size` is not a positive multiple of K.
    """
    if images_per_identity < 1 or batch_size < 1 or batch_size % images_per_identity:
        raise ConfigError(
            [
                "train.batch_size must be a positive multiple of train.images_per_identity, but got "
                f"{batch_size} and {images_per_identity}; set one of them to a multiple of the other"
            ]
        )
    if not len(labels):
        return []
    if images_per_identity == 1:
        return _cut(generator.permutation(len(labels))[:, None], batch_size)
    classes, inverse = np.unique(labels, return_inverse=True)
    members = [generator.permutation(np.flatnonzero(inverse == k)) for k in range(len(classes))]
    groups = [_groups(own, images_per_identity, generator) for own in members]
    width = batch_size // images_per_identity
    if len(groups) < width:
        return _cut(generator.permutation(np.concatenate(groups)), width)
    return _distinct(groups, width, generator)


def shown_in_an_epoch(labels: NDArray[np.integer], batch_size: int, images_per_identity: int) -> int:
    """How many of the images (n,) an epoch shows; which ones, chance says anew in each."""
    batches = identity_batches(labels, batch_size, images_per_identity, np.random.default_rng(0))
    return len(np.unique(np.concatenate(batches))) if batches else 0


def rarely_shown(labels: NDArray[np.integer], batch_size: int, images_per_identity: int, name: str) -> Iterator[str]:
    """A line where an epoch shows less than `FAIR_SHARE` of the images; `name`: the field of the batch size."""
    shown = shown_in_an_epoch(labels, batch_size, images_per_identity)
    if shown < FAIR_SHARE * len(labels):
        people, counts = np.unique(labels, return_counts=True)
        yield (
            f"An epoch shows {shown} of {len(labels)} training images: a batch is {batch_size // images_per_identity} "
            f"people with {images_per_identity} images each, the {len(people)} people have {counts.min()} to "
            f"{counts.max()}, and batches end when too few people are left. Set {name} lower, or train for more epochs."
        )


def _groups(own: Indices, size: int, generator: np.random.Generator) -> Indices:
    """Shuffled positions of one identity -> groups (g, size)."""
    missing = -len(own) % size
    if missing:
        last = own[len(own) - (size - missing) :]
        others = own[: len(own) - len(last)]
        # Images of other groups come first: the last group then repeats none of its own, if there are enough of them.
        again = generator.permutation(others)[:missing]
        filling = generator.choice(own, missing - len(again))
        own = np.concatenate((own, again, filling))
    return own.reshape(-1, size)


def _cut(groups: Indices, width: int) -> list[Indices]:
    """Shuffled groups (g, K) in batches of `width`; the last one, if short, only where it is the only one."""
    whole = max(len(groups) // width, 1) * width
    return [groups[start : start + width].reshape(-1) for start in range(0, min(whole, len(groups)), width)]


def _distinct(groups: list[Indices], width: int, generator: np.random.Generator) -> list[Indices]:
    """As many batches of `width` identities as there can be: always those with the most groups left, ties at random."""
    left = np.array([len(own) for own in groups])
    batches = []
    while np.count_nonzero(left) >= width:
        chosen = np.lexsort((generator.random(len(left)), -left))[:width]
        left[chosen] -= 1
        batches.append(np.concatenate([groups[k][left[k]] for k in generator.permutation(chosen)]))
    return [batches[i] for i in generator.permutation(len(batches))]
