"""What became of the models of the final stage and of its teachers: records on disk, and questions about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from search.luck.seeds import SeedSet
from search.retrain.candidates import Candidate, Model
from search.retrain.comparison import Spread
from search.runs.damage import read_json, reading, write_json
from search.runs.layout import RunFolder
from search.trials.states import State


@dataclass
class ModelRecord:
    """What became of a model; its metrics.json.

    Attributes:
        digest: the model's, or the teacher checkpoint's
        epoch: the one whose model was kept
        validation: all metrics of that epoch
        test: empty until the test split is opened
    """

    state: State
    digest: str = ""
    epoch: int | None = None
    validation: dict[str, float] = field(default_factory=dict)
    duration_s: float = 0.0
    test: dict[str, float] = field(default_factory=dict)
    error_type: str | None = None
    error_text: str | None = None

    @classmethod
    def read(cls, folder: Path, digest: str) -> ModelRecord | None:
        """The record of a model that is done; None for one that is not, or is another one."""
        path = folder / "metrics.json"
        with reading(path):
            record = cls(**read_json(path)) if path.is_file() else None
        return record if record is not None and record.digest == digest else None

    def write(self, folder: Path) -> None:
        """Marks the model as done."""
        write_json(folder / "metrics.json", self.__dict__)


class Records:
    """The models of a final stage, with the records of those that are over.

    Attributes:
        models: all that take part so far
        by_key: those done earlier, then in the order in which they end
    """

    def __init__(self, run: RunFolder, metric: str) -> None:
        self.run = run
        self.metric = metric
        self.models: dict[str, Model] = {}
        self.by_key: dict[str, ModelRecord] = {}

    def include(self, models: Iterable[Model]) -> None:
        """These take part from now on; what is on disk of those that are new is read."""
        for model in models:
            if model.key not in self.models:
                self.models[model.key] = model
                done = ModelRecord.read(model.folder(self.run.retrain), model.digest)
                if done is not None:
                    self.by_key[model.key] = done

    def are_over(self, models: Iterable[Model]) -> bool:
        """Whether each of them has a record."""
        return all(model.key in self.by_key for model in models)

    def over(self) -> Iterator[tuple[Model, ModelRecord]]:
        """Models that are over with their records, in the models' order."""
        return ((model, self.by_key[key]) for key, model in self.models.items() if key in self.by_key)

    def of(self, candidate: Candidate) -> list[tuple[Model, ModelRecord]]:
        """The same of one candidate."""
        return [(model, record) for model, record in self.over() if model.candidate is candidate]

    def seeds_on_every_fold(self, candidate: Candidate, seed_set: SeedSet) -> set[int]:
        """The seeds of a set with which a candidate was trained on all of its folds."""
        own = [(model, record) for model, record in self.of(candidate) if model.seed_set is seed_set]
        trained = Counter(model.seed for model, record in own if record.state == "complete")
        return {seed for seed, folds in trained.items() if folds == len(candidate.config.data.folds)}

    def validation(self, candidate: Candidate) -> Spread | None:
        """The metric that chooses the champion, over a candidate's complete models; None where there is none."""
        values = [record.validation[self.metric] for _, record in self.of(candidate) if record.state == "complete"]
        return Spread.of(values) if values else None

    def tests(self, candidate: Candidate) -> dict[str, Mapping[str, float]]:
        """Test metrics by key, of the models with those seeds that a candidate was trained with on all of its folds."""
        seeds = self.seeds_on_every_fold(candidate, SeedSet.TEST)
        return {model.key: record.test for model, record in self.of(candidate) if record.test and model.seed in seeds}

    def best_model(self, candidate: Candidate) -> tuple[Model, ModelRecord]:
        """Of the models that the test split was opened for, the one with the best validation metric."""
        tested = [(model, record) for model, record in self.of(candidate) if record.test]
        return max(tested, key=lambda each: each[1].validation[self.metric])
