"""The protocols once more, as plain loops over lists, to compare with. Distances are exact.

Of equally far images one after the other is drawn at random, and what comes of it is weighed with its probability.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
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
    rank_1: list[float]
    first: list[float]
    tied: float


def evaluate(embeddings, identities, protocol, cameras=None):
    """None where no query has a match. The result of `protocol`, from nested lists of numbers."""
    n = len(identities)
    embeddings = exact(embeddings)

    def entries(query):
        """(distance, is it a match) of everything in the list of one query."""
        return [
            (squared(embeddings[query], embeddings[i]), identities[i] == identities[query])
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
    return summarise(lists)


def evaluate_published(embeddings, identities, protocol, cameras, marked=None):
    """Of each gallery of `market`, `sysu-...` and `regdb-...`: a SlowResult, or None where no query has a match."""
    embeddings, n = exact(embeddings), len(identities)
    results = []
    for draw in range(10 if protocol.startswith("sysu") else 1):
        lists = []
        gallery = sysu_gallery(identities, cameras, protocol, draw) if protocol.startswith("sysu") else range(n)
        for q in range(n):
            entries = []
            for g in gallery:
                if q == g or not in_list(protocol, q, g, identities, cameras, marked):
                    continue
                entries.append((squared(embeddings[q], embeddings[g]), identities[g]))
            if is_query(protocol, q, identities, cameras, marked):
                lists.append((identities[q], entries))
        results.append(summarise_people(lists) if protocol.startswith("sysu") else summarise(matched(lists)))
    return results


def is_query(protocol, q, identities, cameras, marked):
    if protocol == "market":
        return identities[q] > 0 and (marked is None or marked[q])
    if protocol.startswith("sysu"):
        return cameras[q] in (3, 6)
    return cameras[q] == (1 if protocol.startswith("regdb-visible") else 2)


def in_list(protocol, q, g, identities, cameras, marked):
    if protocol == "market":
        if identities[g] == -1 or (marked is not None and marked[g]):
            return False
        return not (identities[g] == identities[q] and cameras[g] == cameras[q])
    if protocol.startswith("sysu"):
        return not (cameras[q] == 3 and cameras[g] == 2)
    return cameras[g] == (1 if protocol == "regdb-thermal-to-visible" else 2)


def sysu_gallery(identities, cameras, protocol, draw):
    """As published code draws it: people ascending, cameras ascending, `random` seeded with the number of the draw."""
    random.seed(draw)
    chosen = []
    for person in sorted(set(identities)):
        for camera in (1, 2, 4, 5) if "all" in protocol else (1, 2):
            files = [i for i in range(len(identities)) if (identities[i], cameras[i]) == (person, camera)]
            if files and "single" in protocol:
                chosen.append(random.choice(files))
            elif files:
                chosen.extend(random.sample(files, min(10, len(files))))
    return chosen


def matched(lists):
    return [(person, [(distance, other == person) for distance, other in entries]) for person, entries in lists]


def summarise_people(lists):
    """AP and mINP of the images, CMC and first match of the people."""
    result = summarise(matched(lists))
    if result is None:
        return None
    ranks = [people_ranks(person, entries) for person, entries in lists if person in [who for _, who in entries]]
    result.cmc = [sum(sum(rank[: k + 1]) for rank in ranks) / len(ranks) for k in range(20)]
    result.rank_1 = [rank[0] for rank in ranks]
    result.first = [sum((k + 1) * p for k, p in enumerate(rank)) for rank in ranks]
    return result


def people_ranks(person, entries):
    """Probability that `person` is the first, second, ... of all people, where equally far images come in any order."""
    seen: set[int] = set()
    for _, block in itertools.groupby(sorted(entries), key=lambda entry: entry[0]):
        counts = Counter(who for _, who in block if who not in seen)
        if person in counts:
            own = counts.pop(person)
            return [0.0] * len(seen) + drawn_ranks(own, tuple(sorted(counts.values()))) + [0.0] * 40
        seen |= set(counts)
    raise AssertionError("no match")


@functools.cache
def drawn_ranks(own, rivals):
    """The same within one block: one image after the other is drawn, and whoever it shows is done."""
    total = own + sum(rivals)
    ranks = [own / total] + [0.0] * len(rivals)
    for position, count in enumerate(rivals):
        for place, p in enumerate(drawn_ranks(own, rivals[:position] + rivals[position + 1 :])):
            ranks[place + 1] += count / total * p
    return ranks


def center_validation_accuracy(embeddings, identities):
    """None where no identity has two images."""
    embeddings = exact(embeddings)
    scores = []
    for person in sorted(set(identities)):
        if identities.count(person) == 1:
            continue
        query = center(embeddings, identities, person)
        others = [i for i in range(len(identities)) if i != query]
        walked = walk([(squared(embeddings[query], embeddings[i]), identities[i] == person) for i in others])
        scores.append(1 - (walked.mean_ranks[-1] - walked.matches) / len(others))
    return sum(scores) / len(scores) if scores else None


def exact(embeddings):
    """As whole numbers, which are the embeddings times a power of two."""
    rows = [[Fraction(value) for value in row] for row in embeddings]
    scale = max(value.denominator for row in rows for value in row)
    return [[int(value * scale) for value in row] for row in rows]


def squared(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def center(embeddings, identities, person):
    members = [i for i, identity in enumerate(identities) if identity == person]
    sums = [sum(sorted(float(squared(embeddings[i], embeddings[j])) ** 0.5 for j in members)) for i in members]
    return members[sums.index(min(sums))]


@dataclass
class Walk:
    """What a walk down one list finds, on average: of the first 20 ranks, the share of orders with a match by then."""

    matches: int
    average_precision: float
    inverse_penalty: float
    cmc: list[float]
    mean_ranks: list[float]
    tied: int


def walk(entries):
    """Of (distance, is it a match). At every step the state is how many matches were found, with its probability."""
    total = sum(match for _, match in entries)
    precision, penalty, tied = 0.0, 0.0, 0
    first, mean_ranks = [0.0] * (len(entries) + 20), [0.0] * total
    rank, found_before = 0, 0
    for _, block in itertools.groupby(sorted(entries), key=lambda entry: entry[0]):
        hits = [match for _, match in block]
        tied += sum(hits) if len(hits) > sum(hits) else 0
        states = {0: 1.0}
        for drawn in range(len(hits)):
            rank += 1
            following: dict[int, float] = {}
            for found, probability in states.items():
                hit = probability * (sum(hits) - found) / (len(hits) - drawn)
                miss = probability - hit
                if hit > 0:
                    number = found_before + found + 1
                    precision += hit * number / rank
                    mean_ranks[number - 1] += hit * rank
                    first[rank - 1] += hit if number == 1 else 0
                    penalty += hit * total / rank if number == total else 0
                    following[found + 1] = following.get(found + 1, 0) + hit
                if drawn - found < len(hits) - sum(hits):
                    following[found] = following.get(found, 0) + miss
            states = following
        found_before += sum(hits)
    cmc = list(itertools.accumulate(first[:20]))
    return Walk(total, precision / total if total else 0, penalty, cmc, mean_ranks, tied)


def summarise(lists):
    """Of (person, entries of their list)."""
    walks = [(person, walk(entries)) for person, entries in lists]
    valid = [(person, walked) for person, walked in walks if walked.matches]
    if not valid:
        return None
    precision = [0.0] * 101
    for _, walked in valid:
        points = [number / rank for number, rank in enumerate(walked.mean_ranks, start=1)]
        for i in range(101):
            reached = [p for k, p in enumerate(points, start=1) if 100 * k >= i * walked.matches]
            precision[i] += max(reached) / len(valid)
    return SlowResult(
        average_precision=[walked.average_precision for _, walked in valid],
        identities=[person for person, _ in valid],
        cmc=[sum(walked.cmc[k] for _, walked in valid) / len(valid) for k in range(20)],
        mean_inverse_negative_penalty=sum(walked.inverse_penalty for _, walked in valid) / len(valid),
        precision=precision,
        skipped=len(walks) - len(valid),
        rank_1=[walked.cmc[0] for _, walked in valid],
        first=[walked.mean_ranks[0] for _, walked in valid],
        tied=sum(walked.tied for _, walked in valid) / sum(walked.matches for _, walked in valid),
    )
