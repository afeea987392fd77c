"""Who is in which split of a fold."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from owkd.data.checking.report import Item, Report
from owkd.data.index import SPLITS, SplitName


def check_people(report: Report, fold: str, items: Iterable[Item]) -> None:
    """Notes people in two splits, and splits in which nobody can be recognised, or nobody mistaken."""
    images: dict[SplitName, dict[int, int]] = {split: defaultdict(int) for split in SPLITS}
    for item in items:
        images[item.split][item.identity] += 1
    for one, other in combinations(SPLITS, 2):
        shared = sorted(images[one].keys() & images[other].keys())
        if shared and other == "test":
            text = f"people must not be in {one} and in test, but {_numbers(shared)} are; remove them from one"
            report.add("fatal", "identity_in_test_and_training", fold, text)
        elif shared:
            text = f"validation measures people whom training has seen: {_numbers(shared)}; other people tell more"
            report.add("warning", "identity_in_train_and_validation", fold, text)
    for split in SPLITS:
        _check_split(report, f"{fold}/{split}", split, images[split])


def _check_split(report: Report, where: str, split: SplitName, images: dict[int, int]) -> None:
    single = sorted(identity for identity, count in images.items() if count == 1)
    if len(images) == 1:
        text = f"a split must have two people or more, but has {_numbers(list(images))} alone, whom nobody is mistaken "
        report.add("fatal", "one_identity", where, f"{text}for: every figure would be perfect; add people")
    if images and len(single) == len(images) and split != "train":
        text = "somebody must have a second image, but nobody has: there is nothing to be recognised by; add images"
        report.add("fatal", "no_pairs", where, text)
    elif single:
        text = f"people with one image have no other to be recognised by: {_numbers(single)}"
        report.add("warning", "single_image", where, text)


def _numbers(identities: list[int], most: int = 10) -> str:
    shown = ", ".join(map(str, identities[:most]))
    return shown if len(identities) <= most else f"{shown} and {len(identities) - most} more"
