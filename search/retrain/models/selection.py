"""Which models the final stage trains, in which order, and which candidate becomes the champion.

First the candidates on the choice seeds, round by round (`search.trials.choice`), by validation alone; then the
champion on the test seeds. The baselines take the test seeds whoever is champion, and fill workers that would wait for
the end of a round. Nothing is remembered but the models' records, so that a stage that was killed comes to the same
champion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from owkd.config import Config
from search.retrain.candidates import Candidate, Model
from search.retrain.models.records import Records
from search.retrain.seeds import Seeds, SeedSet
from search.trials.budget import Budget
from search.trials.choice import rounds_within, survivors
from search.trials.view import PUBLISHED


class Selection:
    """From the candidates to the champion, as far as the records go."""

    def __init__(
        self, config: Config, candidates: Sequence[Candidate], records: Records, test_seeds: int | None = None
    ) -> None:
        """`test_seeds`: how many; as configured when unset."""
        self.records = records
        self.baselines = [candidate for candidate in candidates if candidate.role == "baseline"]
        self.contenders = [candidate for candidate in candidates if candidate.role == "candidate"]
        if not self.contenders:  # what a search without any other complete trial falls back to
            self.contenders = [baseline for baseline in self.baselines if baseline.name == PUBLISHED]
        self.rounds = rounds_within(len(self.contenders), config.retrain.choice_budget)
        budget = Budget.of(config)
        self.folds = budget.final_folds
        seeds = Seeds.of(config)
        self.choice_seeds = seeds.choice(sum(each.seeds for each in self.rounds))
        self.test_seeds = seeds.test(test_seeds or budget.test_seeds)

    @property
    def most_models(self) -> int:
        """How many there will be when all candidates can be trained."""
        tested = {candidate.name for candidate in (self.contenders[0], *self.baselines)}
        trainings = sum(each.trainings for each in self.rounds) + len(tested) * len(self.test_seeds)
        return trainings * len(self.folds)

    def models(self) -> list[Model]:
        """All that the records so far call for, in the order in which they are trained."""
        models, left = self._choose()
        if left:
            tested = {each.name: each for each in (*(left if len(left) == 1 else ()), *self.baselines)}
            tests = self._models(list(tested.values()), self.test_seeds, SeedSet.TEST)
            self.records.include(tests)
            models += tests
        return models

    def is_over(self) -> bool:
        """Whether every model has a record."""
        return self.records.are_over(self.models())

    def champion(self) -> Candidate | None:
        """The one that the choice left; None while it is under way, and where no candidate could be trained."""
        _, left = self._choose()
        return left[0] if len(left) == 1 else None

    def _choose(self) -> tuple[list[Model], list[Candidate]]:
        """The models of all rounds that have begun, and who is left: one when the choice is made."""
        models: list[Model] = []
        left = self.contenders
        kept = [*(each.candidates for each in self.rounds[1:]), 1]
        for each, keep in zip(self.rounds, kept, strict=False):
            if len(left) < 2:
                break
            so_far = self.choice_seeds[: each.first + each.seeds]
            round_models = self._models(left, so_far[each.first :], SeedSet.CHOICE)
            self.records.include(round_models)
            models += round_models
            if not self.records.are_over(round_models):
                break
            by_name = {candidate.name: candidate for candidate in left}
            values = {name: [self._validation(own, seed) for seed in so_far] for name, own in by_name.items()}
            left = [by_name[name] for name in survivors(values, keep)]
        return models, left

    def _models(self, candidates: Sequence[Candidate], seeds: Sequence[int], seed_set: SeedSet) -> list[Model]:
        """All candidates with one seed, then all with the next."""
        return [Model(own, fold, seed, seed_set) for seed in seeds for fold in self.folds for own in candidates]

    def _validation(self, candidate: Candidate, seed: int) -> float:
        """The mean over folds of the metric that chooses; NaN where a fold could not be trained."""
        records = [self.records.by_key[Model(candidate, fold, seed, SeedSet.CHOICE).key] for fold in self.folds]
        return fmean(record.validation.get(self.records.metric, math.nan) for record in records)
