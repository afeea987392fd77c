"""Which models the final stage trains, in which order, and which candidate becomes the champion.

First the candidates on the choice seeds, round by round (`search.trials.choice`), by validation alone; those of the
control in the same way among themselves. Then the two that are left on the test seeds, and with the champion the
baselines that train as it does. The plain baselines take the test seeds whoever is champion, and fill workers that
would wait for the end of a round. Nothing is remembered but the models' records, so that a stage that was killed comes
to the same champion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from owkd.config import Config
from search.luck.seeds import Seeds, SeedSet
from search.retrain.candidates import Candidate, Model, matched_baselines
from search.retrain.models.records import Records
from search.trials.budget import Budget
from search.trials.choice import Round, rounds_within, survivors
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
        self.controls = [candidate for candidate in candidates if candidate.role == "control"]
        budget = Budget.of(config)
        self.folds = budget.final_folds
        self._choice_budget = config.retrain.choice_budget
        self._matched = budget.matched_baselines
        self._matched_by_champion: dict[str, list[Candidate]] = {}
        groups = (self._rounds(self.contenders), self._rounds(self.controls))
        seeds = Seeds.of(config)
        self.choice_seeds = seeds.choice(max(sum(each.seeds for each in rounds) for rounds in groups))
        self.test_seeds = seeds.test(test_seeds or budget.test_seeds)

    @property
    def most_models(self) -> int:
        """How many there will be, at most, when all candidates can be trained."""
        tested = {candidate.name for candidate in (self.contenders[0], *self.controls[:1], *self.baselines)}
        matched = self._matched if self.contenders[0].role == "candidate" else 0
        choice = sum(each.trainings for group in (self.contenders, self.controls) for each in self._rounds(group))
        return (choice + (len(tested) + matched) * len(self.test_seeds)) * len(self.folds)

    def models(self) -> list[Model]:
        """All that the records so far call for, in the order in which they are trained."""
        models, left = self._choose(self.contenders)
        of_control, left_of_control = self._choose(self.controls)
        models += of_control
        if left:
            chosen = [each[0] for each in (left, left_of_control) if len(each) == 1]
            tested = {each.name: each for each in (*chosen, *self.baselines, *self.matched_baselines())}
            tests = self._models(list(tested.values()), self.test_seeds, SeedSet.TEST)
            self.records.include(tests)
            models += tests
        return models

    def is_over(self) -> bool:
        """Whether every model has a record."""
        return self.records.are_over(self.models())

    def champion(self) -> Candidate | None:
        """The one that the choice left; None while it is under way, and where no candidate could be trained."""
        _, left = self._choose(self.contenders)
        return left[0] if len(left) == 1 else None

    def control(self) -> Candidate | None:
        """The same of the control's candidates; None also where there are none."""
        _, left = self._choose(self.controls)
        return left[0] if len(left) == 1 else None

    def everybody(self) -> list[Candidate]:
        """All that take part by now."""
        own = (*self.contenders, *self.controls, *self.baselines, *self.matched_baselines())
        return list({each.name: each for each in own}.values())

    def matched_baselines(self) -> list[Candidate]:
        """The baselines that train as the champion does, where they are others than the plain ones."""
        champion = self.champion()
        if champion is None or champion.role == "baseline":
            return []
        if champion.name not in self._matched_by_champion:
            self._matched_by_champion[champion.name] = matched_baselines(champion, self.baselines)
        return self._matched_by_champion[champion.name]

    def _rounds(self, group: Sequence[Candidate]) -> tuple[Round, ...]:
        return rounds_within(len(group), self._choice_budget) if group else ()

    def _choose(self, group: Sequence[Candidate]) -> tuple[list[Model], list[Candidate]]:
        """The models of all rounds of a group that have begun, and who is left: one when the choice is made."""
        models: list[Model] = []
        left = list(group)
        rounds = self._rounds(group)
        kept = [*(each.candidates for each in rounds[1:]), 1]
        for each, keep in zip(rounds, kept, strict=False):
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
