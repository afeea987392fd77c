"""The final stage: the best configurations in full, beside two baselines, and the test split opened once.

    retrain/<configuration>/seed-<s>/<fold>/    last.pt while it trains; then best.safetensors and metrics.json
    retrain/teacher/<fold>/metrics.json         the teacher on the test split
    retrain/champion/                           student.safetensors, config.yaml, metrics.json
    tensorboard/retrain-*/                      how each model learned
    results/retrain/*.parquet                   what `search.retrain.tables` says

The champion is the best of the search's top k by the mean of its best validation metric over folds and seeds. The
published weights are a baseline, not a candidate: the table shows where they stand, and says so when they are ahead.
Only when the champion is chosen is the test split opened, for every model and for the teacher. A model with a
metrics.json is done; any other goes on from its last.pt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from owkd.config import with_values
from owkd.errors import DataError, OwkdError, UserError
from owkd.files import written_whole
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources
from search.execution.stage import Connect, Prepare, prepare, slots_alone
from search.execution.tune import run_jobs
from search.execution.worker import Train, train_student
from search.progress import Progress
from search.retrain.candidates import Candidate, Model, ModelRecord, RetrainRecorder, models_of, select_candidates
from search.retrain.comparison import BASELINES, CHAMPION, PUBLISHED, TEACHER, Comparison, ComparisonRow, Spread
from search.retrain.significance import Pair, adjust_p_values, paired_test
from search.retrain.tables import model_row, teacher_row, write_comparison, write_models
from search.retrain.test_evaluation import (
    CheckpointRef,
    Evaluate,
    evaluate_model,
    evaluate_on_test,
    missing_test_splits,
)
from search.runs.layout import RunFolder
from search.runs.lock import lock_run
from search.runs.manifest import open_run
from search.storage.address import Address
from search.study.study import Study
from search.tensorboard.retrain import RetrainEventFiles

COMPARED = ("mAP", "rank-1")
"""test metrics in which the champion is compared with the baselines; the first one is what a search is about"""


@dataclass(frozen=True)
class FinalWork:
    """What the final stage calls of owkd."""

    train: Train = train_student
    evaluate: Evaluate = evaluate_model
    prepare: Prepare = slots_alone


@dataclass(frozen=True)
class Outcome:
    """What the final stage leaves."""

    folder: RunFolder
    comparison: Comparison
    champion: str
    """the configuration's name"""


@dataclass(frozen=True)
class PendingEvaluation:
    """A model that the test split was not opened for yet: what to evaluate, and where the metrics go."""

    checkpoint: CheckpointRef
    folder: Path
    record: ModelRecord


def retrain(run: Address | Path | str, *, connect: Connect, console: Console, work: FinalWork | None = None) -> Outcome:
    """Trains the candidates of a run, chooses the champion, and opens the test split.

    Raises `UserError` when the run has no complete trial or no test split, `OwkdError` when no champion can be
    trained, and `KeyboardInterrupt` after Ctrl-C; called again, it goes on where it was. A stage that is done is told
    from its records: nothing is trained or opened, and no Ray is needed.
    """
    work = work or FinalWork(prepare=prepare)
    folder, config, manifest = open_run(run, drive=True)
    with lock_run(folder):
        study = Study(folder.journal, folder.name, config)
        candidates = select_candidates(config, study.views())
        if all(candidate.role == "baseline" for candidate in candidates) and study.view(0).state != "complete":
            raise UserError(
                f"a run must have a complete trial to retrain, but {run} has none; go on with it: owkd resume {run}"
            )
        recorder = RetrainRecorder(models_of(config, candidates), folder, config.search.leading_metric)
        final = FinalStage(folder, candidates, recorder, work, console, manifest.get("fingerprints", {}))
        if final.is_done():
            return final.conclude(final.choose())
        if missing := missing_test_splits(config):
            raise DataError(f"the final stage must have a test split, but there is no {missing[0]}; add it")
        with connect() as admission:
            # The published setting needs of the teacher whatever any other candidate does.
            published = next(candidate.config for candidate in candidates if candidate.name == PUBLISHED)
            _, resources = work.prepare(published, console)
            final.train(resources, config.search.max_failures, admission)
            champion = final.choose()
            final.evaluate_on_test(resources, admission)
        return final.conclude(champion)


class FinalStage:
    """The steps of the final stage, in their order: train, choose, evaluate, conclude."""

    def __init__(
        self,
        folder: RunFolder,
        candidates: Sequence[Candidate],
        recorder: RetrainRecorder,
        work: FinalWork,
        console: Console,
        fingerprints: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.candidates = candidates
        self.recorder = recorder
        self.work = work
        self.console = console
        self.config = candidates[0].config
        self.teachers: dict[str, ModelRecord] = {}
        """by fold"""
        for fold in self.config.data.folds:
            digest = str(fingerprints.get("teacher", {}).get(fold))
            self.teachers[fold] = ModelRecord.read(self._teacher_folder(fold), digest) or ModelRecord(
                "complete", digest
            )

    def is_done(self) -> bool:
        """Whether every model is trained and evaluated on the test split, and so is the teacher."""
        return len(self.recorder.records) == len(self.recorder.models) and not self._pending_evaluations()

    def train(self, resources: TrialResources, max_failures: int, admission: NodeAdmission | None = None) -> None:
        """Trains every model that is not done."""
        total = len(self.recorder.models)
        self.console.print(
            f"final stage of {self.folder.address}: {len(self.candidates)} configurations, {total} models, "
            f"{resources.describe()}",
            soft_wrap=True,
        )
        progress = Progress(
            self.console,
            f"retrain {self.folder.name}",
            total=total,
            unit="models",
            metric=self.recorder.metric,
            past={"complete": self.recorder.done_before},
        )
        if self.recorder.done_before == total:
            return
        curves = RetrainEventFiles(self.folder.tensorboard)
        with progress, closing(curves):
            self.recorder.progress, self.recorder.curves = progress, curves
            run_jobs(
                self.folder.durable(self.recorder),
                train=self.work.train,
                resources=resources,
                scheduler=None,
                max_failures=max_failures,
                scratch=self.folder.scratch,
                admission=admission,
            )
        self._write_models()

    def choose(self) -> Candidate:
        """The candidate with the best mean validation metric of those whose models are all complete."""
        candidates = [candidate for candidate in self.candidates if candidate.role == "candidate"]
        whole = [candidate for candidate in candidates or self._published() if self._is_whole(candidate)]
        if not whole:
            failed = next((record for record in self.recorder.records.values() if record.error_text), None)
            why = f"; the first failure: {failed.error_text}" if failed else ""
            raise OwkdError(f"no configuration could be trained on every fold with every seed{why}")
        return max(whole, key=lambda candidate: self._validation(candidate).mean)

    def evaluate_on_test(self, resources: TrialResources, admission: NodeAdmission | None = None) -> None:
        """Opens the test split for every complete model and for the teacher, except those that it was opened for."""
        pending = self._pending_evaluations()
        if not pending:
            return
        self.console.print(f"opening the test split for {len(pending)} models", soft_wrap=True)
        checkpoints = {key: evaluation.checkpoint for key, evaluation in pending.items()}
        device = self.config.train.device
        evaluate = self.work.evaluate
        evaluated = evaluate_on_test(
            checkpoints, self.config.data, evaluate=evaluate, resources=resources, device=device, admission=admission
        )
        for key, metrics in evaluated:
            evaluation = pending[key]
            evaluation.record.test = metrics
            evaluation.record.write(evaluation.folder)

    def conclude(self, champion: Candidate) -> Outcome:
        """Writes the champion and the tables."""
        comparison = self._comparison(champion)
        self._write_models(champion)
        write_comparison(self.folder.results, champion, comparison.tests)
        models = [model for model in self.recorder.models.values() if model.candidate is champion]
        best = max(models, key=lambda model: self.recorder.records[model.key].validation[self.recorder.metric])
        record = self.recorder.records[best.key]
        self.folder.champion.mkdir(parents=True, exist_ok=True)
        self.folder.take(self._checkpoint(best), self.folder.champion / "student.safetensors")
        with written_whole(self.folder.champion / "config.yaml") as temporary:
            values = {"train.seed": best.seed, "data.folds": [best.fold]}
            tree = with_values(champion.config, values).to_dict()
            temporary.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
        with written_whole(self.folder.champion / "metrics.json") as temporary:
            found = {
                "configuration": champion.name,
                "fold": best.fold,
                "seed": best.seed,
                "epoch": record.epoch,
                "validation": record.validation,
                "test": record.test,
                "comparison": comparison.to_dict(),
            }
            temporary.write_text(json.dumps(found, indent=2), encoding="utf-8")
        return Outcome(self.folder, comparison, champion.name)

    def _pending_evaluations(self) -> dict[str, PendingEvaluation]:
        """Complete models and teachers without test metrics, by key."""
        pending = {}
        for key, record in self.recorder.records.items():
            model = self.recorder.models[key]
            if record.state == "complete":
                checkpoint = CheckpointRef(self.folder.where(self._checkpoint(model)), model.fold)
                pending[key] = PendingEvaluation(checkpoint, model.folder(self.folder.retrain), record)
        for fold, record in self.teachers.items():
            checkpoint = CheckpointRef(str(self.config.teacher.checkpoint_for(fold)), fold)
            pending[f"{TEACHER}/{fold}"] = PendingEvaluation(checkpoint, self._teacher_folder(fold), record)
        return {key: evaluation for key, evaluation in pending.items() if not evaluation.record.test}

    def _comparison(self, champion: Candidate) -> Comparison:
        named = {candidate.name: candidate for candidate in self.candidates}
        baselines = {name: self._tests(named[name]) for name in BASELINES}
        ours = self._tests(champion)
        lines: list[tuple[str, str, list[Mapping[str, float]]]] = [
            (TEACHER, "", [record.test for record in self.teachers.values()]),
            *((name, "", list(baselines[name].values())) for name in reversed(BASELINES)),
            (CHAMPION, champion.name, list(ours.values())),
        ]
        rows = tuple(_row(name, detail, found) for name, detail, found in lines if found)
        tests = [
            paired_test(name, metric, _values(ours, metric), _values(theirs, metric))
            for name, theirs in baselines.items()
            for metric in COMPARED
            if named[name] is not champion
        ]
        whole = [candidate for candidate in self.candidates if self._is_whole(candidate)]
        whole.sort(key=lambda candidate: (candidate is not champion, -self._validation(candidate).mean))
        validation = tuple((candidate.name, self._validation(candidate)) for candidate in whole)
        adjusted = adjust_p_values([test for test in tests if test])
        return Comparison(rows, adjusted, validation, tuple(self._notes(champion)))

    def _notes(self, champion: Candidate) -> Iterator[str]:
        records = self.recorder.records.items()
        failed = [self.recorder.models[key].name for key, record in records if record.state != "complete"]
        if failed:
            yield f"Not trained: {'; '.join(failed)}. Run the final stage again to try once more."
        earlier = self.folder.champion / "metrics.json"
        if earlier.is_file():
            name = json.loads(earlier.read_text(encoding="utf-8"))["configuration"]
            if name != champion.name:
                yield (
                    f"The test split was opened before, when {name} was the champion. What was decided since may have "
                    "followed its figures; an untouched comparison needs a split that nobody has seen."
                )

    def _tests(self, candidate: Candidate) -> dict[Pair, Mapping[str, float]]:
        """Test metrics of a candidate's models that have them, by fold and seed."""
        models = [model for model in self.recorder.models.values() if model.candidate is candidate]
        records = {(model.fold, model.seed): self.recorder.records.get(model.key) for model in models}
        return {pair: record.test for pair, record in records.items() if record and record.test}

    def _published(self) -> list[Candidate]:
        """What a search without any other complete trial falls back to."""
        return [candidate for candidate in self.candidates if candidate.name == PUBLISHED]

    def _records(self, candidate: Candidate) -> list[ModelRecord | None]:
        return [
            self.recorder.records.get(key)
            for key, model in self.recorder.models.items()
            if model.candidate is candidate
        ]

    def _is_whole(self, candidate: Candidate) -> bool:
        return all(record is not None and record.state == "complete" for record in self._records(candidate))

    def _validation(self, candidate: Candidate) -> Spread:
        return Spread.of([record.validation[self.recorder.metric] for record in self._records(candidate) if record])

    def _write_models(self, champion: Candidate | None = None) -> None:
        rows = []
        for key, model in self.recorder.models.items():
            if key in self.recorder.records:
                path = self._checkpoint(model)
                place = str(path.relative_to(self.folder.root)) if self.folder.holds(path) else None
                chosen = model.candidate is champion
                rows.append(model_row(model, self.recorder.records[key], champion=chosen, checkpoint=place))
        evaluated = {fold: record for fold, record in self.teachers.items() if record.test}
        rows.extend(teacher_row(TEACHER, fold, record) for fold, record in evaluated.items())
        write_models(self.folder.results, rows)

    def _teacher_folder(self, fold: str) -> Path:
        return self.folder.retrain / TEACHER / fold

    def _checkpoint(self, model: Model) -> Path:
        return model.folder(self.folder.retrain) / "best.safetensors"


def _values(tests: Mapping[Pair, Mapping[str, float]], metric: str) -> dict[Pair, float]:
    return {pair: test[metric] for pair, test in tests.items()}


def _row(name: str, detail: str, found: Sequence[Mapping[str, float]]) -> ComparisonRow:
    accuracy = Spread.of([test["mAP"] for test in found])
    rank_1 = Spread.of([test["rank-1"] for test in found])
    return ComparisonRow(name, detail, accuracy, rank_1, int(found[0]["parameters"]), len(found))
