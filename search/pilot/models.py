"""The models of a pilot: the published setting and no distillation, on the first fold, with seeds of their own.

They are trained as the final stage trains them, so that they spread as its models will.
"""

from __future__ import annotations

from owkd.config import Config, with_values
from search.luck.seeds import Seeds, SeedSet
from search.retrain.candidates import Candidate, Model, select_candidates
from search.retrain.models.records import Records
from search.trials.view import NO_DISTILLATION_NAME, PUBLISHED

PILOT_SEEDS = 4
"""of each setting, unless more are asked for"""


class PilotModels:
    """All models of a pilot, in the order in which they are trained: every setting with one seed, then with the next.

    Attributes:
        settings: the two, with the pilot's fold alone
    """

    def __init__(self, config: Config, number: int, records: Records) -> None:
        self.records = records
        self.settings = pilot_settings(config)
        self.fold = config.data.folds[0]
        self._seeds = Seeds.of(config).pilot(number)

    def models(self) -> list[Model]:
        """Those that take part; what is on disk of them is read."""
        models = [Model(own, self.fold, seed, SeedSet.PILOT) for seed in self._seeds for own in self.settings]
        self.records.include(models)
        return models


def pilot_settings(config: Config) -> list[Candidate]:
    """The published setting and no distillation, as the final stage would train them on the first fold."""
    alone = with_values(config, {"retrain.folds": [config.data.folds[0]]})
    by_name = {candidate.name: candidate for candidate in select_candidates(alone, ())}
    return [by_name[name] for name in (PUBLISHED, NO_DISTILLATION_NAME)]


def pilot_digests(config: Config) -> dict[str, str]:
    """What the numbers of a pilot depend on, by setting: a pilot of other digests is of another configuration."""
    fold, (seed,) = config.data.folds[0], Seeds.of(config).pilot(1)
    return {own.name: Model(own, fold, seed, SeedSet.PILOT).digest for own in pilot_settings(config)}
