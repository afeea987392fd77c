"""The final stage: the best configurations in full, beside two baselines, and the test split opened once.

    control/                                    the random trials that the search is compared with: a run of their own
    retrain/<configuration>/seed-<s>/<fold>/    last.pt while it trains; then best.safetensors and metrics.json
    retrain/teacher/<fold>/metrics.json         the teacher on the test split
    retrain/champion/                           student.safetensors, config.yaml, metrics.json
    tensorboard/retrain-*/                      how each model learned
    results/retrain/*.parquet                   what `search.retrain.tables` says
    retrain/looks.json                          with how many test seeds the split was looked at, and what was shown
    results/retrain/queries/*.parquet           what `search.retrain.queries` says

First come the control's trials, where there is a control (`search.retrain.control`). Three sets of seeds share none
(`search.luck.seeds`). The search's top k are trained on choice seeds, where the champion is chosen by validation,
and the control's in the same way. Then the two that were chosen and the baselines, the published weights and no
distillation, are trained on test seeds, the same for all, and the test split is opened, for these models and for the
teacher. Where more than distillation is searched, each baseline is trained as the champion too. A model with a
metrics.json is done; any other goes on from its last.pt. With more test seeds, which leave candidates, choice and
champion as they are, the split is looked at once more (`search.retrain.models.looks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from owkd.config import Config
from owkd.errors import DataError, OwkdError, UserError
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources
from search.execution.stage import TIMINGS, Connect, Prepare, Stage, Timings, prepare, slots_alone
from search.execution.worker import Train, train_student
from search.luck.seeds import SeedSet
from search.results.schema import Row
from search.results.tables import recorded_trials
from search.retrain.candidates import Candidate, Model, select_candidates
from search.retrain.champion import ChampionFolder, refuse_earlier_version
from search.retrain.claims import PlannedComparison
from search.retrain.comparison import TEACHER, Comparison
from search.retrain.control import ControlDecision, ControlSearch, decide_on_control
from search.retrain.findings import Findings
from search.retrain.models.looks import Look, Looks, Plan
from search.retrain.models.records import ModelRecord, Records
from search.retrain.models.selection import Selection
from search.retrain.models.training import train_models
from search.retrain.queries import QueryFiles, queries_of_model, queries_of_teacher
from search.retrain.tables import model_row, teacher_row, write_comparison, write_models
from search.retrain.test_evaluation import (
    CheckpointRef,
    Evaluate,
    evaluate_model,
    evaluate_on_test,
    missing_test_splits,
)
from search.run_search import Work
from search.runs.layout import RunFolder
from search.runs.manifest import open_run
from search.storage.address import Address
from search.study.study import Study
from search.trials.budget import Budget
from search.trials.view import PUBLISHED, TrialView


@dataclass(frozen=True)
class FinalWork:
    """What the final stage calls of owkd."""

    train: Train = train_student
    evaluate: Evaluate = evaluate_model
    prepare: Prepare = slots_alone
    timings: Timings = TIMINGS


@dataclass(frozen=True)
class Outcome:
    """What the final stage leaves.

    Attributes:
        champion: the configuration's name
    """

    folder: RunFolder
    comparison: Comparison
    champion: str


@dataclass(frozen=True)
class TestedModel:
    """A model or teacher that the test split is opened for.

    Attributes:
        folder: of its record
        columns: that its rows of queries share
    """

    checkpoint: CheckpointRef
    folder: Path
    record: ModelRecord
    columns: Row


def retrain(
    run: Address | Path | str,
    *,
    connect: Connect,
    console: Console,
    work: FinalWork | None = None,
    reopen: bool = False,
    seeds: int | None = None,
) -> Outcome:
    """Trains the candidates of a run, chooses the champion, and opens the test split.

    reopen: also where the final stage of an earlier version opened it. seeds: test seeds in all; with more than were
    tested, this is another look.

    Raises `UserError` when the run has no complete trial or no test split, `OwkdError` when no champion can be
    trained, and `KeyboardInterrupt` after Ctrl-C; called again, it resumes where it was. A stage that is done is known
    from its records: nothing is trained or opened, and no Ray is needed.
    """
    return FinalStage(run, console, work or FinalWork(prepare=prepare), reopen, seeds).carry_out(connect)


class FinalStage(Stage[Outcome]):
    """Trains every candidate, chooses the champion, opens the test split, writes what came of it.

    Attributes:
        config: of the run
        trials: of the search
        decision: whether there is a control, and why
        control: the random trials beside the search
        teachers: by fold
    """

    folder: RunFolder
    config: Config
    trials: list[TrialView]
    decision: ControlDecision
    control: ControlSearch | None
    candidates: list[Candidate]
    records: Records
    selection: Selection
    queries: QueryFiles
    looks: Looks
    look: Look
    teachers: dict[str, ModelRecord]

    def __init__(
        self,
        run: Address | Path | str,
        console: Console,
        work: FinalWork,
        reopen: bool = False,
        seeds: int | None = None,
    ) -> None:
        self.run_address = run
        self.console = console
        self.work = work
        self.reopen = reopen
        self.asked_seeds = seeds

    def open(self) -> RunFolder:
        self.folder, self.config, self.manifest = open_run(
            self.run_address, drive=True, timings=self.work.timings.store
        )
        return self.folder

    def check(self) -> None:
        if not self.reopen:
            refuse_earlier_version(self.folder)
        study = Study(self.folder.journal, self.folder.name, self.config, recorded=recorded_trials(self.folder))
        self.trials = list(study.views())
        self.control = self._read_control(study)
        self.looks = Looks(self.folder.retrain)
        self.look = self.looks.next(Budget.of(self.config).test_seeds, self.asked_seeds)
        self._select()
        if all(candidate.role == "baseline" for candidate in self.candidates) and study.view(0).state != "complete":
            raise UserError(
                f"a run must have a complete trial to retrain, but {self.run_address} has none; resume it: "
                f"owkd resume {self.run_address}"
            )
        self.queries = QueryFiles(self.folder.results)
        self.teachers = self._read_teachers()
        if self.has_work() and (missing := missing_test_splits(self.config)):
            raise DataError(f"the final stage must have a test split, but there is no {missing[0]}; add it")

    def has_work(self) -> bool:
        """Whether a trial of the control is to be run, or a model or teacher not trained or not evaluated."""
        return self._control_has_work() or not self.selection.is_over() or bool(self._pending())

    def prepare(self) -> TrialResources:
        # The published setting needs of the teacher whatever any other candidate does.
        _, resources = self.work.prepare(self._baseline(PUBLISHED).config, self.console)
        return resources

    def run(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        if self.asked_seeds:
            self.looks.keep(self.look)
        if self.control is not None and self._control_has_work():
            work = Work(train=self.work.train, timings=self.work.timings)
            self.control.carry_out(resources, admission, console=self.console, work=work)
            self._select()
        self._train(resources, admission)
        champion = self._champion()  # the test split stays closed where there is none
        claim = self.config.retrain.claim
        plan = Plan(PlannedComparison(claim.against, claim.metric), self.decision.is_on)
        self.look = self.looks.open(self.looks.about(champion.name, self.look), plan)
        self._evaluate_on_test(resources, admission)

    def conclude(self) -> Outcome:
        """Writes the champion and the tables."""
        champion = self._champion()
        self.queries.keep(self._tested())
        self.look = self.looks.about(champion.name, self.look)
        comparison = self.findings.comparison(champion)
        self.looks.end(self.look, champion.name, comparison.claims)
        self._write_models(champion)
        write_comparison(self.folder.results, champion, comparison.claims)
        best = self.records.best_model(champion)
        ChampionFolder(self.folder).write(champion, best, self._checkpoint(best[0]), comparison)
        return Outcome(self.folder, comparison, champion.name)

    @property
    def findings(self) -> Findings:
        """What is known by now; the study was read (`check`)."""
        return Findings(
            self.folder,
            self.config,
            self.decision,
            self.selection,
            self.teachers,
            self.queries,
            self.looks,
            self.look,
        )

    def _read_control(self, study: Study) -> ControlSearch | None:
        self.decision = decide_on_control(self.config)
        fingerprints = self.manifest.get("fingerprints", {})
        return ControlSearch.beside(self.folder, self.config, fingerprints, study) if self.decision.is_on else None

    def _control_has_work(self) -> bool:
        return self.control is not None and self.control.has_work()

    def _select(self) -> None:
        """Who takes part: all that is known of it while the control is not over."""
        self.candidates = select_candidates(self.config, self.trials, self.control.trials() if self.control else ())
        self.records = Records(self.folder, self.config.search.leading_metric)
        self.selection = Selection(self.config, self.candidates, self.records, self.look.seeds)

    def _train(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        """Trains every model that is not done."""
        if self.selection.is_over():
            return
        total = self.selection.most_models
        self.console.print(
            f"final stage of {self.folder.address}: {len(self.candidates)} configurations, {total} models, "
            f"{resources.describe()}",
            soft_wrap=True,
        )
        train_models(
            self.selection,
            self.folder,
            f"retrain {self.folder.name}",
            total,
            train=self.work.train,
            console=self.console,
            resources=resources,
            admission=admission,
            max_failures=self.config.search.max_failures,
            timings=self.work.timings.retries,
        )
        self._write_models()

    def _champion(self) -> Candidate:
        """The one that was chosen, when the test split can say anything of it."""
        champion = self.selection.champion()
        if champion is None or not self.records.seeds_on_every_fold(champion, SeedSet.TEST):
            texts = (record.error_text for record in self.records.by_key.values() if record.error_text)
            failure = next((f"; the first failure: {text}" for text in texts), "")
            what = "no configuration" if champion is None else f"the champion, {champion.name},"
            raise OwkdError(f"{what} could be trained on every fold{failure}")
        return champion

    def _evaluate_on_test(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        """Opens the test split for every complete model and for the teacher, except those that it was opened for."""
        pending = self._pending()
        if not pending:
            return
        self.console.print(f"opening the test split for {len(pending)} models", soft_wrap=True)
        for key, evaluation in evaluate_on_test(
            {key: each.checkpoint for key, each in pending.items()},
            self._full_config.data,
            evaluate=self.work.evaluate,
            resources=resources,
            device=self._full_config.train.device,
            admission=admission,
        ):
            self.queries.write(key, pending[key].columns, evaluation.queries)
            pending[key].record.test = evaluation.metrics
            pending[key].record.write(pending[key].folder)

    def _pending(self) -> dict[str, TestedModel]:
        """Those without test metrics, or without their rows of queries."""
        return {key: each for key, each in self._tested().items() if not (each.record.test and self.queries.has(key))}

    def _tested(self) -> dict[str, TestedModel]:
        """Complete models of the test seeds, and teachers, by key."""
        tested = {}
        for key, record in self.records.by_key.items():
            model = self.records.models[key]
            if record.state == "complete" and model.seed_set is SeedSet.TEST:
                checkpoint = CheckpointRef(self.folder.where(self._checkpoint(model)), model.fold)
                folder = model.folder(self.folder.retrain)
                tested[key] = TestedModel(checkpoint, folder, record, queries_of_model(model))
        for fold, record in self.teachers.items():
            checkpoint = CheckpointRef(str(self._full_config.teacher.checkpoint_for(fold)), fold)
            columns = queries_of_teacher(TEACHER, fold)
            tested[f"{TEACHER}/{fold}"] = TestedModel(checkpoint, self._teacher_folder(fold), record, columns)
        return tested

    def _write_models(self, champion: Candidate | None = None) -> None:
        rows = []
        for model, record in self.records.over():
            path = self._checkpoint(model)
            checkpoint = str(path.relative_to(self.folder.root)) if self.folder.holds(path) else None
            rows.append(model_row(model, record, champion=model.candidate is champion, checkpoint=checkpoint))
        rows.extend(teacher_row(TEACHER, fold, record) for fold, record in self.teachers.items() if record.test)
        write_models(self.folder.results, rows)

    def _read_teachers(self) -> dict[str, ModelRecord]:
        digests = self.manifest.get("fingerprints", {}).get("teacher", {})
        records = {}
        for fold in self._full_config.data.folds:
            digest = str(digests.get(fold))
            records[fold] = ModelRecord.read(self._teacher_folder(fold), digest) or ModelRecord("complete", digest)
        return records

    @property
    def _full_config(self) -> Config:
        """With the folds of the final stage."""
        return self.candidates[0].config

    def _baseline(self, name: str) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.name == name)

    def _teacher_folder(self, fold: str) -> Path:
        return self.folder.retrain / TEACHER / fold

    def _checkpoint(self, model: Model) -> Path:
        return model.folder(self.folder.retrain) / "best.safetensors"
