"""How much training a configuration asks for: epochs, parts and steps of a trial, models of the final stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from owkd.config import Config
from search.power import number_of_seeds
from search.space import epochs_of, most_epochs
from search.trials.choice import Round, rounds_within
from search.trials.job import parts_of
from search.trials.view import FIXED

BASELINES = 2
"""of the final stage: the published setting, and training without distillation"""


@dataclass(frozen=True)
class Budget:
    """The most that the trials of a search and the models of its final stage may train.

    An epoch trains one part, a fold with a seed, once. A step of a trial is an epoch of whichever of its parts.

    Attributes:
        trials: of the search
        parts: of a trial
        epochs_per_part: of the longest setting that the space may propose
        final_folds: folds of the final stage
        rounds: in which the final stage chooses its champion among `retrain.top_k` candidates
        choice_models: trainings of these rounds, on every fold
        test_seeds: of the champion and of each baseline
        test_models: trainings of the champion and the baselines, on every fold with every test seed
        matched_baselines: of the baselines, those that train as the champion does, where more than distillation is
            searched
        candidate_epochs: of one model of the longest candidate
        baseline_epochs: of one model of a baseline
    """

    config: Config
    trials: int
    parts: int
    epochs_per_part: int
    final_folds: tuple[str, ...]
    rounds: tuple[Round, ...]
    choice_models: int
    test_seeds: int
    test_models: int
    matched_baselines: int
    candidate_epochs: int
    baseline_epochs: int

    @classmethod
    def of(cls, config: Config) -> Budget:
        """What `config` asks for."""
        retrain = config.retrain
        longest = most_epochs(config)
        folds = retrain.folds or config.data.folds
        rounds = rounds_within(retrain.top_k, retrain.choice_budget)
        seeds = number_of_seeds(config)
        beyond = {path for path in config.search.space if not path.startswith("distill")}
        if retrain.epochs is not None:
            beyond -= {"train.epochs"}
        matched = BASELINES if beyond else 0
        return cls(
            config,
            trials=config.search.trials,
            parts=len(parts_of(config)),
            epochs_per_part=longest,
            final_folds=folds,
            rounds=rounds,
            choice_models=sum(each.trainings for each in rounds) * len(folds),
            test_seeds=seeds,
            test_models=(1 + BASELINES + matched) * len(folds) * seeds,
            matched_baselines=matched,
            candidate_epochs=retrain.epochs or longest,
            baseline_epochs=retrain.epochs or config.train.epochs,
        )

    @property
    def trial_steps(self) -> int:
        """Steps of the longest trial."""
        return self.epochs_per_part * self.parts

    @property
    def search_steps(self) -> int:
        """Epochs of a search of the longest trials, none of which is stopped."""
        return self.trials * self.trial_steps

    @property
    def proposed_trials(self) -> int:
        """Trials that a sampler proposes."""
        return max(0, self.trials - len(FIXED))

    @property
    def final_models(self) -> int:
        """Trainings of the final stage, but for those of a control."""
        return self.choice_models + self.test_models

    @property
    def final_epochs(self) -> int:
        """Epochs of these models together."""
        long = (1 + self.matched_baselines) * self.candidate_epochs
        tested = (long + BASELINES * self.baseline_epochs) * len(self.final_folds)
        return self.choice_models * self.candidate_epochs + tested * self.test_seeds

    @property
    def control_models(self) -> int:
        """Trainings of a control's choice and test, which are as those of the champion."""
        return self.choice_models + len(self.final_folds) * self.test_seeds

    @property
    def control_epochs(self) -> int:
        """Epochs of a control's models together; its random trials come on top of them."""
        return self.control_models * self.candidate_epochs

    @property
    def longest_training(self) -> int:
        """Epochs of the longest single training, in the search or in the final stage."""
        return max(self.epochs_per_part, self.candidate_epochs, self.baseline_epochs)

    def epochs(self, values: Mapping[str, Any]) -> int:
        """Epochs on one part of a trial with these values, by dotted path."""
        return epochs_of(self.config, values)
