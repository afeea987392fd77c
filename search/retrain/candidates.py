"""Who takes part in the final stage, and the desk that hands out their models one by one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from owkd.config import NO_DISTILLATION, Config, DistillConfig
from owkd.files import written_whole
from search.progress import Progress
from search.retrain.comparison import NO_DISTILLATION_NAME, PUBLISHED
from search.runs.layout import RunFolder, trial_name
from search.space.parameters import single
from search.tensorboard.retrain import RetrainEventFiles
from search.trials.budget import Budget
from search.trials.job import Job, Message, Part, final_state
from search.trials.objective import epoch_rule, ranked
from search.trials.states import State
from search.trials.view import TrialView

Role = Literal["candidate", "baseline"]


@dataclass(frozen=True)
class Candidate:
    """A configuration that is trained in full, on every fold, with every seed."""

    name: str
    slug: str
    """its folder's name"""
    role: Role
    trial: int | None
    config: Config
    """resolved, with epochs and folds of the final stage"""


@dataclass(frozen=True)
class Model:
    """One training of a candidate."""

    candidate: Candidate
    fold: str
    seed: int

    @property
    def part(self) -> Part:
        return Part(self.fold, self.seed)

    @property
    def key(self) -> str:
        return f"{self.candidate.slug}/{self.fold}/seed-{self.seed}"

    @property
    def name(self) -> str:
        return f"{self.candidate.name}, {self.fold}, seed {self.seed}"

    @property
    def digest(self) -> str:
        """Names everything that its numbers hang on: a record of another digest is of another model."""
        tree = self.candidate.config.to_dict()
        parts = {name: tree[name] for name in ("data", "teacher", "student", "train", "distill")}
        return hashlib.sha256(json.dumps([parts, self.fold, self.seed], sort_keys=True).encode()).hexdigest()[:16]

    def folder(self, retrain: Path) -> Path:
        """Where its checkpoints and its metrics.json are."""
        return self.part.folder(retrain / self.candidate.slug)


def select_candidates(config: Config, trials: Iterable[TrialView]) -> list[Candidate]:
    """The search's best `retrain.top_k` trials (`search.objectives.ranked`) and the two baselines, best trial first.

    The published setting takes part as a baseline, not as a trial; of trials with equal values the best one does.
    """
    complete = [view for view in ranked(config.search, trials) if not view.published]
    found: list[Candidate] = []
    seen: list[dict[str, Any]] = []
    for view in complete:
        if len(found) < config.retrain.top_k and view.values not in seen:
            seen.append(view.values)
            name = f"trial {view.number}"
            found.append(
                Candidate(name, trial_name(view.number), "candidate", view.number, _in_full(config, view.values))
            )
    for name, distill in ((PUBLISHED, DistillConfig()), (NO_DISTILLATION_NAME, NO_DISTILLATION)):
        values = {"distill": distill.model_dump(mode="json")}
        found.append(Candidate(name, name.replace(" ", "-"), "baseline", None, _in_full(config, values)))
    return found


def models_of(config: Config, candidates: Sequence[Candidate]) -> list[Model]:
    """Every training of the final stage: all candidates with one seed, then all with the next."""
    folds = Budget.of(config).final_folds
    seeds = range(config.train.seed, config.train.seed + config.retrain.seeds)
    return [Model(candidate, fold, seed) for seed in seeds for fold in folds for candidate in candidates]


def _in_full(config: Config, values: dict[str, Any]) -> Config:
    full: dict[str, Any] = {**values, "data.folds": list(Budget.of(config).final_folds)}
    if config.retrain.epochs is not None:
        full["train.epochs"] = config.retrain.epochs
    return single(config, full)


@dataclass
class ModelRecord:
    """What became of a model; its metrics.json."""

    state: State
    digest: str = ""
    """the model's, or the teacher checkpoint's"""
    epoch: int | None = None
    """the one whose model was kept"""
    validation: dict[str, float] = field(default_factory=dict)
    """all metrics of that epoch"""
    duration_s: float = 0.0
    test: dict[str, float] = field(default_factory=dict)
    """empty until the test split is opened"""
    error_type: str | None = None
    error_text: str | None = None

    @classmethod
    def read(cls, folder: Path, digest: str) -> ModelRecord | None:
        """The record of a model that is done; None for one that is not, or is another one."""
        path = folder / "metrics.json"
        record = cls(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
        return record if record is not None and record.digest == digest else None

    def write(self, folder: Path) -> None:
        """Marks the model as done."""
        with written_whole(folder / "metrics.json") as temporary:
            temporary.write_text(json.dumps(self.__dict__, indent=2), encoding="utf-8")


class RetrainRecorder:
    """Hands out the models that are not done yet."""

    def __init__(self, models: Sequence[Model], run: RunFolder, metric: str) -> None:
        self.models = {model.key: model for model in models}
        self.run = run
        self.retrain = run.retrain
        self.metric = metric
        self.progress: Progress | None = None
        self.curves: RetrainEventFiles | None = None
        self.records: dict[str, ModelRecord] = {}
        for key, model in self.models.items():
            done = ModelRecord.read(model.folder(self.retrain), model.digest)
            if done is not None:
                self.records[key] = done
        self.done_before = len(self.records)
        self._waiting = [key for key in self.models if key not in self.records]
        self._epochs: dict[str, dict[int, dict[str, float]]] = {}
        self._attempts: dict[str, int] = {}
        self._crashes: dict[str, Message] = {}

    def next_job(self) -> Job | None:
        """The next model as a job."""
        if not self._waiting:
            return None
        model = self.models[self._waiting.pop(0)]
        directory = self.run.where(self.retrain / model.candidate.slug)
        return Job(model.key, model.candidate.config.to_dict(), (model.part,), directory)

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        """A model starts, or starts again."""
        model = self.models[key]
        self._epochs[key] = {}
        self._attempts[key] = self._attempts.get(key, 0) + 1
        if self.curves:
            self.curves.start(key)
        if self.progress:
            self.progress.started(model.name, "", model.candidate.config.train.epochs, self._attempts[key])

    def message_received(self, message: Message) -> None:
        """An epoch of a model, or word of a failure."""
        if message.state == "crashed":
            self._crashes[message.key] = message
            if self.progress:
                self.progress.failed_once(self.models[message.key].name, message.error_text or "")
        if message.epoch == 0:
            return
        epochs = self._epochs[message.key]
        epochs[message.epoch] = dict(message.metrics)
        if self.curves:
            self.curves.add_epoch(message.key, message.epoch, epochs[message.epoch], message.sent_at)
        if self.progress:
            best = max(metrics[self.metric] for metrics in epochs.values())
            name = self.models[message.key].name
            self.progress.epoch(name, message.step, message.objective, best, news=not message.replayed)

    def job_stopped(self, key: str, last: Message) -> None:
        """A model is over."""
        if last.state != "complete":
            self._end(key, ModelRecord(final_state(last.state)), last)
            return
        epochs = self._epochs[key]
        numbers = sorted(epochs)
        rule = epoch_rule(self.models[key].candidate.config.search)
        best = numbers[rule.best_index([epochs[number] for number in numbers])]
        duration = sum(metrics.get("duration_s", 0.0) for metrics in epochs.values())
        self._end(key, ModelRecord("complete", epoch=best, validation=epochs[best], duration_s=duration))

    def job_failed(self, key: str, error_text: str) -> None:
        """A model failed more often than it may."""
        crash = self._crashes.get(key)
        record = ModelRecord("error", error_type="WorkerDied", error_text=error_text)
        self._end(key, record, crash)

    def job_interrupted(self, key: str, reason: str) -> None:
        """A model lost its worker through no fault of its own."""
        if self.progress:
            self.progress.interrupted(self.models[key].name, reason)

    def waiting(self, reason: str) -> None:
        """No worker has been at work for a while."""
        if self.progress:
            self.progress.waiting(reason)

    def _end(self, key: str, record: ModelRecord, failure: Message | None = None) -> None:
        """A failed model gets no metrics.json, so that the next attempt at the final stage tries it again."""
        model = self.models[key]
        if failure is not None:
            record.error_type, record.error_text = failure.error_type, failure.error_text
        record.digest = model.digest
        self.records[key] = record
        self._epochs.pop(key, None)
        if self.curves:
            self.curves.end(key)
        folder = model.folder(self.retrain)
        if record.state == "complete":
            record.write(folder)
            self.run.discard(folder / "last.pt")
        if self.progress:
            score = record.validation.get(self.metric)
            self.progress.ended(model.name, record.state, score, record.error_text or "")
