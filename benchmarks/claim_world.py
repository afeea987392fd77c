"""A simulated run of the product, from the first trial to the leads that its final stage claims.

Seeds, schedule, choice and leads are the product's own functions. What a training brings is drawn once for each
(setting, seed) and looked up after that, so that a seed that were in two sets would bring its luck along.

The unit is the standard deviation of a training's luck, on validation and on test. Of its variance on the test split,
OWN is the training's, the same luck as on validation, and the rest is what it does to each identity. `interaction` is
the standard deviation, over splits, of what a split's identities add to one setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import stdtr

from search.luck.seeds import Seeds
from search.power import FIRST_LOOK
from search.retrain.claims import (
    Claim,
    Lead,
    PlannedComparison,
    Scores,
    claims_in_order,
    lead_for_people,
    lead_on_split,
)
from search.trials.choice import choice_rounds, least_budget, survivors

OWN = 0.64
OTHER = "published"
PRIMARY = PlannedComparison(OTHER, "mAP")

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """A simulated run."""

    trials: int = 100
    top_k: int = 3
    seeds: int = 11
    """test seeds of the first look"""
    identities: int = 60
    """of each fold"""
    folds: int = 1
    interaction: float = 0.0
    lead: float = 0.0
    """true, of every trial over the published weights"""
    skewed: bool = False
    """luck of an exponential distribution instead of a normal one, and 1 to 15 queries an identity instead of one"""


@dataclass
class World:
    """What trainings bring, by setting, seed and fold: drawn when first asked for."""

    design: Design
    rng: Generator
    luck: dict[tuple[str, int, int], float] = field(default_factory=dict)
    on_validation: dict[str, float] = field(default_factory=dict)

    def draws(self, *shape: int) -> Floats:
        """Of mean 0 and standard deviation 1."""
        return self.rng.standard_exponential(shape) - 1 if self.design.skewed else self.rng.standard_normal(shape)

    def best(self, seed: int) -> list[str]:
        """The search: every trial is trained with one seed; the best `top_k` by validation, best first."""
        names = [f"trial {number}" for number in range(self.design.trials)]
        luck = self.draws(len(names))
        splits = self.design.interaction * self.rng.standard_normal(len(names))
        self.on_validation |= zip(names, splits.tolist(), strict=True)
        self.luck |= zip([(name, seed, 0) for name in names], luck.tolist(), strict=True)
        order = np.argsort(-(luck + splits), kind="stable")
        return [names[place] for place in order[: self.design.top_k]]

    def validation(self, setting: str, seed: int) -> float:
        """A validation figure; every setting has an interaction with the validation split, too."""
        if setting not in self.on_validation:
            self.on_validation[setting] = self.design.interaction * self.rng.standard_normal()
        return self.on_validation[setting] + self._luck(setting, seed)

    def test(self, setting: str, seeds: Sequence[int], people: Sequence[Integers], lead: float) -> tuple[Scores, float]:
        """Test figures of a setting, and what the people of these folds add to it. people: for each fold (Q,)."""
        values, added = [], []
        for fold, queries in enumerate(people):
            persons, places = np.unique(queries, return_inverse=True)
            count = len(persons)
            own = OWN**0.5 * np.array([self._luck(setting, seed, fold) for seed in seeds])[:, None]
            each = self.design.interaction * count**0.5 * self.draws(count)
            rest = ((1 - OWN) * count) ** 0.5 * self.draws(len(seeds), count)
            values.append((lead + own + each + rest)[:, places])
            added.append(float(each[places].mean()))
        return Scores(np.array(seeds), tuple(people), tuple(values)), float(np.mean(added))

    def _luck(self, setting: str, seed: int, fold: int = 0) -> float:
        if (setting, seed, fold) not in self.luck:
            self.luck[setting, seed, fold] = float(self.draws(1)[0])
        return self.luck[setting, seed, fold]


@dataclass(frozen=True)
class Found:
    """What one simulated run ends with."""

    on_split: Lead
    for_people: Lead
    true_on_split: float
    """the lead on this very split, all trainings that there could be taken together"""


def simulated(design: Design, rng: Generator) -> Found:
    """One run and its first look."""
    ours, theirs, true = tested(design, rng, design.seeds)
    return Found(lead_on_split(ours, theirs, FIRST_LOOK), lead_for_people(ours, theirs, FIRST_LOOK), true)


def looked(design: Design, rng: Generator, seeds: Sequence[int]) -> tuple[list[tuple[Claim, ...]], list[Lead], float]:
    """One run and a look with each of these numbers of test seeds, the next whatever the one before it showed.

    Its claims after each look, its leads on this split at an error of 2.5 % at every look, and the true lead there.
    """
    ours, theirs, true = tested(design, rng, seeds[-1])
    claims: list[tuple[Claim, ...]] = []
    naive = []
    for look, number in enumerate(seeds, start=1):
        mine, others = first_seeds(ours, number), first_seeds(theirs, number)
        shown = [claim for claim in claims[-1] if claim.status == "shown"] if claims else []
        scores = {OTHER: {PRIMARY.metric: others}}
        claims.append(claims_in_order({PRIMARY.metric: mine}, scores, (PRIMARY,), PRIMARY, look, shown))
        naive.append(lead_on_split(mine, others))
    return claims, naive, true


def first_seeds(scores: Scores, number: int) -> Scores:
    """What was known before the others were trained."""
    return Scores(scores.seeds[:number], scores.identities, tuple(values[:number] for values in scores.values))


def tested(design: Design, rng: Generator, number: int) -> tuple[Scores, Scores, float]:
    """Search on S, choice on C, and `number` seeds of T: scores of the champion and the other, and their true lead."""
    world = World(design, rng)
    seeds = Seeds(int(rng.integers(2**31)), given=(0,))
    (search_seed,) = seeds.search(1)
    champion = chosen(world.best(search_seed), world, seeds)
    people = [_people(design, fold, rng) for fold in range(design.folds)]
    trained = seeds.test(number)
    ours, added = world.test(champion, trained, people, design.lead)
    theirs, added_there = world.test(OTHER, trained, people, 0.0)
    return ours, theirs, design.lead + added - added_there


def chosen(names: list[str], world: World, seeds: Seeds) -> str:
    """The champion, by successive halving with four trainings for each that it takes at least."""
    rounds = choice_rounds(len(names), 4 * least_budget(len(names)))
    for number, part in enumerate(rounds):
        trained = seeds.choice(part.first + part.seeds)
        values = {name: [world.validation(name, seed) for seed in trained] for name in names}
        names = survivors(values, rounds[number + 1].candidates if number + 1 < len(rounds) else 1)
    return names[0]


def _people(design: Design, fold: int, rng: Generator) -> Integers:
    """(Q,) identity of each query of a fold; no fold tests whom another one does."""
    people = np.arange(design.identities) + fold * design.identities
    return np.repeat(people, rng.integers(1, 16, design.identities)) if design.skewed else people


def before(design: Design, rng: Generator) -> bool:
    """Whether "chance alone is unlikely" was said for the champion, in the final stage as it was once.

    Three seeds, the first of them the search's own; the champion is chosen on the models that the test then compares;
    paired t-tests against two baselines, adjusted by Holm's rule, at two-sided 5 %.
    """
    world = World(design, rng)
    candidates = world.best(0)
    seeds, people = range(3), [_people(design, 0, rng)]
    champion = max(candidates, key=lambda name: sum(world.validation(name, seed) for seed in seeds))
    ours, *others = (world.test(name, seeds, people, 0.0)[0].per_seed for name in (champion, OTHER, "none"))
    tests = sorted((_paired(ours - theirs), bool(ours.mean() > theirs.mean())) for theirs in others)
    (first, above), (second, also_above) = tests
    said = first <= 0.025 and above
    return said or (first <= 0.025 and second <= 0.05 and also_above)


def _paired(differences: Floats) -> float:
    """Two-sided p of the paired t-test (Student 1908)."""
    size = abs(differences.mean()) / (differences.std(ddof=1) / len(differences) ** 0.5)
    return 2 * float(stdtr(len(differences) - 1, -size))
