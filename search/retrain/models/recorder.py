"""The queue of the final stage: hands out the models that are not done, and records what becomes of them.

Its listeners, in their order: event files, records (`metrics.json`: from then on a model is done), and what people
watch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from search.retrain.candidates import Model
from search.retrain.models.records import ModelRecord, Records
from search.runs.layout import RunFolder
from search.storage import fence
from search.tensorboard.retrain import RetrainEventFiles
from search.trials.job import Job, Message, final_state
from search.trials.listener import ActiveJob, EpochRecord, JobListener, Listeners
from search.trials.objective import epoch_rule
from search.trials.view import Ending


@dataclass
class ActiveModel(ActiveJob):
    """A model that was handed out and is not over.

    Attributes:
        history: metrics of this attempt, by epoch
        record: what became of it
    """

    model: Model = field(kw_only=True)
    history: dict[int, dict[str, float]] = field(default_factory=dict)
    record: ModelRecord | None = None


class ModelSource(Protocol):
    """Which models there are to train: those of a final stage (`Selection`), or of a pilot."""

    @property
    def records(self) -> Records: ...

    def models(self) -> list[Model]:
        """All that the records so far call for, in the order in which they are trained."""
        ...


SourceT = TypeVar("SourceT", bound=ModelSource)


class RetrainRecorder(Generic[SourceT]):
    """Hands out the models that are not done yet: a `JobQueue`."""

    def __init__(self, selection: SourceT, run: RunFolder) -> None:
        self.run = run
        self.selection = selection
        self.records = selection.records
        self.listeners: Listeners[ActiveModel] = Listeners(
            RetrainEventFiles(run.tensorboard), _RecordWriter(self.records, run)
        )
        self._active: dict[str, ActiveModel] = {}

    def next_job(self) -> Job | None:
        """The next model as a job; None also while a round of the choice must end before others can be known."""
        models = self.selection.models()  # finds records of an earlier driver too
        taken = self._active.keys() | self.records.by_key.keys()
        model = next((model for model in models if model.key not in taken), None)
        if model is None:
            return None
        config = model.candidate.config
        self._active[model.key] = ActiveModel(model.key, model.name, "", config.train.epochs, model=model)
        directory = self.run.where(self.run.retrain / model.candidate.slug)
        return Job(model.key, config.to_dict(), (model.part,), directory)

    def job_started(self, key: str, gpu: float = 0.0) -> None:
        """A model starts, or starts again."""
        active = self._active[key]
        active.history = {}
        active.attempt += 1
        self.listeners.job_started(active)

    def message_received(self, message: Message) -> None:
        """An epoch of a model, or word of a failure."""
        active = self._active[message.key]
        if message.state == "crashed":
            active.crash = message
            self.listeners.job_crashed(active, message)
        elif message.state == "node_fault":
            active.crash = message
        if message.epoch == 0:
            return
        active.history[message.epoch] = dict(message.metrics)
        best = max(metrics[self.records.metric] for metrics in active.history.values())
        self.listeners.epoch_recorded(active, EpochRecord.of(message, best, is_new=not message.replayed))

    def job_stopped(self, key: str, last: Message) -> None:
        """A model is over."""
        if last.state != "complete":
            self._end(key, ModelRecord(final_state(last.state)), last)
            return
        history = self._active[key].history
        numbers = sorted(history)
        rule = epoch_rule(self._active[key].model.candidate.config.search)
        best = numbers[rule.best_index([history[number] for number in numbers])]
        duration = sum(metrics.get("duration_s", 0.0) for metrics in history.values())
        self._end(key, ModelRecord("complete", epoch=best, validation=history[best], duration_s=duration))

    def job_failed(self, key: str, error_text: str) -> None:
        """A model failed more often than it may."""
        record = ModelRecord("error", error_type="WorkerDied", error_text=error_text)
        self._end(key, record, self._active[key].crash)

    def job_interrupted(self, key: str, reason: str) -> None:
        """A model lost its worker through no fault of its own."""
        self._active[key].crash = None
        self.listeners.job_interrupted(self._active[key], reason)

    def waiting(self, reason: str) -> None:
        """No worker has been at work for a while."""
        self.listeners.waiting(reason)

    def close(self) -> None:
        """Closes all files; models that are not over get no record."""
        self.listeners.close()

    def _end(self, key: str, record: ModelRecord, failure: Message | None = None) -> None:
        active = self._active.pop(key)
        if failure is not None:
            record.error_type, record.error_text = failure.error_type, failure.error_text
        record.digest = active.model.digest
        active.record = record
        active.objective = record.validation.get(self.records.metric)
        ending = Ending(record.state, error_type=record.error_type, error_text=record.error_text)
        self.listeners.job_ended(active, ending)


class _RecordWriter(JobListener[ActiveModel]):
    """A failed model gets no metrics.json, so that the next attempt at the final stage tries it again."""

    def __init__(self, records: Records, run: RunFolder) -> None:
        self._records = records
        self._run = run

    def job_ended(self, job: ActiveModel, ending: Ending) -> None:
        assert job.record is not None
        self._records.by_key[job.key] = job.record
        if job.record.state == "complete":
            folder = job.model.folder(self._run.retrain)
            job.record.write(folder)
            for name in ("last.pt", fence.NAME):
                self._run.discard(folder / name)
