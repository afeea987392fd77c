"""Whether an imported teacher's classes are the people that we take them for: by its own answers on training images.

The published loader numbers people in the order of the folder's listing, ours in ascending order of their numbers; a
file of the published form does not say. Where they differ, every logit would be somebody else's.

Shapes: m images that are looked at, K identities.
"""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from owkd.data.index import Split
from owkd.device import to_images
from owkd.errors import CheckpointError
from owkd.models.checkpoint import IMPORTED, ModelInfo
from owkd.models.outputs import TeacherTargets
from owkd.models.wse import WseNet

BATCH = 32
MOST_IMAGES = 128
"""that a teacher's answers are looked at of"""
FEW_IMAGES = 32
"""of these where the teacher has to be run for it, before anything has begun"""
LEAST_SKILL = 0.2
"""of 1, where 0 is what guessing gives: far below what any teacher has on images that it was trained on"""
SURE_SKILL = 0.5
"""by which another order is recognised"""


def sample_of(num_images: int, most: int = MOST_IMAGES) -> np.ndarray:
    """Positions (m,) of images that stand for a split, evenly spread."""
    return np.unique(np.linspace(0, num_images - 1, min(num_images, most)).astype(np.int64))


def published_order(split: Split) -> tuple[int, ...]:
    """Identity numbers in the order of their folders' names as text: 1, 10, 2."""
    names = {PurePosixPath(path).parts[-2] for path in split.paths}
    return tuple(int(name) for name in sorted(names))


@torch.inference_mode()
def class_logits(teacher: WseNet, pixels: np.ndarray, device: torch.device) -> dict[str, Tensor]:
    """What a network answers on images (m, S, S, 3) uint8: logits (m, K) by member."""
    parts = [
        TeacherTargets.of(teacher(to_images(pixels[start : start + BATCH], device))).logits
        for start in range(0, len(pixels), BATCH)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def require_class_order(
    path: Path,
    info: ModelInfo,
    train: Split,
    logits_of: Callable[[np.ndarray], Mapping[str, Tensor]],
    say: Callable[[str], None],
    most: int = MOST_IMAGES,
) -> None:
    """Compares an imported teacher's answers on a sample of the training images with who is on them.

    `logits_of`: positions (m,) of at most `most` images -> (m, K) by member. Other teachers name their identities
    themselves, and are not asked. Raises `CheckpointError` where the answers are hardly better than guessing; of a file
    that may be no import at all, which 0.1.0 did not say, `say` gets the same line.
    """
    if info.origin not in ("", IMPORTED) or (info.origin == "" and info.identities):
        return
    sample = sample_of(len(train.paths), most)
    answers = [member.argmax(dim=1).cpu().numpy() for member in logits_of(sample).values()]
    labels = train.labels[sample]
    if (skill := _skill(answers, labels)) >= LEAST_SKILL:
        return
    people, order = np.unique(train.identities), published_order(train)
    likely = _skill([np.searchsorted(people, np.array(order))[answer] for answer in answers], labels)
    remedy = (
        f"its classes are in the order of the folders' names ({', '.join(map(str, order[:4]))}, ...), by which it "
        f"recognises {_percent(likely)}; import it again with --identities and this fold's train folder"
        if likely >= SURE_SKILL
        else "import it again with --identities and a list of them in the order of its training, or train one"
    )
    line = (
        f"{path} must know the people that it was trained on, but recognises {_percent(skill)} of training images "
        f"beyond guessing: {remedy}"
    )
    if info.origin == IMPORTED:
        raise CheckpointError(line)
    say(line)


def _skill(answers: list[np.ndarray], labels: np.ndarray) -> float:
    """Accuracy of the best member, corrected for guessing the commonest person: 0 that, 1 all right."""
    chance = np.bincount(labels).max() / len(labels)
    best = max(float((answer == labels).mean()) for answer in answers)
    return (best - chance) / (1 - chance) if chance < 1 else 1.0


def _percent(share: float) -> str:
    return f"{100 * max(share, 0):.0f} %"
