"""The four protocols once more, as plain loops over lists, to compare with. Exact for embeddings of whole numbers."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class SlowResult:
    average_precision: list[float]
    identities: list[int]
    cmc: list[float]
    mean_inverse_negative_penalty: float
    precision: list[float]
    skipped: int


def evaluate(embeddings, identities, protocol, cameras=None):
    """None where no query has a match. The result of `protocol`, from nested lists of whole numbers."""
    n = len(identities)

    def entries(query):
        """(distance, query, image, is it a match) of everything in the list of one query."""
        return [
            (squared(embeddings[query], embeddings[i]), query, i, identities[i] == identities[query])
            for i in range(n)
            if i != query and not (protocol == "camera" and cameras[i] == cameras[query])
        ]

    people = sorted(set(identities))
    if protocol == "merged":
        lists = [(p, [e for q in range(n) if identities[q] == p for e in entries(q)]) for p in people]
    elif protocol == "center":
        lists = [(p, entries(center(embeddings, identities, p))) for p in people]
    else:
        lists = [(identities[q], entries(q)) for q in range(n)]
    ranked = [(person, [match for *_, match in sorted(entries)]) for person, entries in lists]
    return summarise(ranked)


def center_validation_accuracy(embeddings, identities):
    """None where no identity has two images."""
    scores = []
    for person in sorted(set(identities)):
        if identities.count(person) == 1:
            continue
        query = center(embeddings, identities, person)
        others = sorted((squared(embeddings[query], embeddings[i]), i) for i in range(len(identities)) if i != query)
        to_find, wrong = identities.count(person) - 1, 0
        for _, i in others:
            if to_find == 0:
                break
            if identities[i] == person:
                to_find -= 1
            else:
                wrong += 1
        scores.append((len(others) - wrong) / len(others))
    return sum(scores) / len(scores) if scores else None


def squared(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def center(embeddings, identities, person):
    members = [i for i, identity in enumerate(identities) if identity == person]
    sums = [sum(squared(embeddings[i], embeddings[j]) ** 0.5 for j in members) for i in members]
    return members[sums.index(min(sums))]


def summarise(ranked):
    valid = [(person, hits) for person, hits in ranked if any(hits)]
    if not valid:
        return None
    average_precision, penalties = [], []
    cmc, precision = [Fraction(0)] * 20, [Fraction(0)] * 101
    for _, hits in valid:
        found, points = 0, []
        for rank, hit in enumerate(hits, start=1):
            found += hit
            if hit:
                points.append((Fraction(found, sum(hits)), Fraction(found, rank)))
        recalls = [recall for recall, _ in points]
        steps = [b - a for a, b in zip([Fraction(0), *recalls], recalls, strict=False)]
        average_precision.append(sum(p * step for (_, p), step in zip(points, steps, strict=True)))
        penalties.append(points[-1][1])
        first = hits.index(True) + 1
        for rank in range(first, 21):
            cmc[rank - 1] += Fraction(1, len(valid))
        for i in range(101):
            reached = points[bisect.bisect_left(recalls, Fraction(i, 100)) :]
            precision[i] += max(p for _, p in reached) / len(valid)
    return SlowResult(
        average_precision=[float(ap) for ap in average_precision],
        identities=[person for person, _ in valid],
        cmc=[float(c) for c in cmc],
        mean_inverse_negative_penalty=float(sum(penalties) / len(valid)),
        precision=[float(p) for p in precision],
        skipped=len(ranked) - len(valid),
    )
