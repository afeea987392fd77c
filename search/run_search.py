"""A search from its first check of the data to its last trial, and every way of resuming one.

    search(config, runs/name, connect=..., console=...)    a new run
    resume(runs/name, connect=..., console=...)            after a kill, a Ctrl-C, a lost cluster; or for more trials

Both open the study and work through it: there is no second path for resuming, so that it cannot rot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from owkd.config import Config
from owkd.errors import OwkdError, UserError
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources
from search.execution.stage import TIMINGS, Connect, Prepare, Stage, Timings, prepare, slots_alone
from search.execution.tune import run_jobs
from search.execution.worker import Train, train_student
from search.luck.noise import Noise
from search.progress import Progress, spinning
from search.recorder import SearchRecorder
from search.results.tables import read_epochs, recorded_trials, without_epochs
from search.runs.inputs import anchored, check_inputs
from search.runs.integrity import Change, changes_since, compare, refuse, versions
from search.runs.layout import RunFolder, trial_name
from search.runs.manifest import DEVICE, Device, amend, create, open_run, refuse_existing
from search.schedulers import make_scheduler
from search.storage.address import Address
from search.study.study import Study
from search.study.warm_start import read_earlier
from search.teaching import (
    STUDENT,
    TEACHER,
    ModelKey,
    TeachingTables,
    Validate,
    measure_models,
    sentences_before,
    sentences_of_run,
    validate_model,
)
from search.tensorboard.panels import DrawModel, draw_model, draw_panels
from search.trials.job import parts_of
from search.trials.listener import TrialListener
from search.trials.states import State
from search.trials.view import NO_DISTILLATION_NAME, TrialView


@dataclass(frozen=True)
class Work:
    """What a search calls of owkd.

    Attributes:
        draw: without it, no pictures of the best trials are drawn
        validate: without it, the teacher is not compared with a student
    """

    train: Train = train_student
    check: Callable[[Config], dict[str, Any]] = check_inputs
    draw: DrawModel | None = None
    validate: Validate | None = None
    prepare: Prepare = slots_alone
    timings: Timings = TIMINGS


OWKD = Work(draw=draw_model, validate=validate_model, prepare=prepare)


@dataclass(frozen=True)
class Summary:
    """What a search has come to.

    Attributes:
        counts: trials that are over, by state
        num_trials: how many there shall be, the fixed ones included
        best: the best complete trial
        fixed: the published weights, and no distillation; in a run of 0.1.0 the former alone
        noise: of one training; None where it cannot be told
        used_up: points of the space, where each of them has a trial; else 0
        teaching: whether the teacher has something to teach, in sentences
    """

    folder: RunFolder
    counts: Mapping[State, int]
    num_trials: int
    best: TrialView | None
    fixed: tuple[TrialView, ...]
    metric: str
    elapsed_s: float
    noise: Noise | None = None
    used_up: int = 0
    teaching: tuple[str, ...] = ()

    def describe(self, view: TrialView) -> str:
        """A trial on one line: number, value, parameters."""
        score = "no value" if view.objective is None else f"{self.metric} {view.objective:.4f}{view.stopped_at}"
        return f"trial {view.number} ({view.state}), {score}, {view.in_words()}"


def search(
    config: Config,
    run: Address | Path | str,
    *,
    connect: Connect,
    console: Console,
    trials: int | None = None,
    work: Work | None = None,
    listeners: Sequence[TrialListener] = (),
) -> Summary:
    """Runs a new search at `run`, a folder or an address in a store, where nothing must be yet.

    `trials` overrides `search.trials`; `listeners` hear of trials after all others.

    Raises `ConfigError`, `UserError` before anything is written; `OwkdError` when no trial can succeed; and
    `KeyboardInterrupt` after Ctrl-C, with the run left as `resume` takes it up.
    """
    return _NewSearch(config, run, trials, console, work or OWKD, listeners).carry_out(connect)


def resume(
    run: Address | Path | str,
    *,
    connect: Connect,
    console: Console,
    trials: int | None = None,
    work: Work | None = None,
    force: bool = False,
    listeners: Sequence[TrialListener] = (),
) -> Summary:
    """Resumes a run where it was left, and for `trials` more than were planned.

    Raises `UserError` when there is no such run, when another process drives it, or (without `force`) when code, data,
    teachers or what the trials are made of changed; otherwise as `search`.
    """
    return _ResumedSearch(run, trials, console, work or OWKD, force, listeners).carry_out(connect)


def run_trials(
    recorder: SearchRecorder,
    resources: TrialResources,
    admission: NodeAdmission | None,
    *,
    title: str,
    console: Console,
    work: Work,
    listeners: Sequence[TrialListener] = (),
) -> None:
    """Runs the trials that a recorder hands out until it has no more. Ray is connected, the recorder's run locked.

    Raises `OwkdError` when no trial can succeed, and `KeyboardInterrupt` after Ctrl-C.
    """
    folder, config, study = recorder.folder, recorder.config, recorder.study
    past = ((trial_name(view.number), view.curve) for view in study.views())
    fixed = set(map(trial_name, range(len(study.fixed))))
    metric = config.search.leading_metric
    progress = Progress(
        console, title, total=lambda: study.num_trials, unit="trials", metric=metric, past=recorder.counts()
    )
    try:
        with progress:
            recorder.show_on(progress, resources.at_a_time)
            recorder.listeners.append(*listeners)
            run_jobs(
                folder.durable(recorder),
                train=work.train,
                resources=resources,
                scheduler=make_scheduler(config, past, recorder.gives_up, recorder.spares, fixed),
                max_failures=config.search.max_failures,
                scratch=folder.scratch,
                admission=admission,
                timings=work.timings.retries,
            )
    finally:
        recorder.close()
    recorder.best_trials.keep_checkpoints()
    if reason := recorder.failures.reason():
        raise OwkdError(f"{title} was stopped because all of its trials fail alike:\n{reason}")


class _Search(Stage[Summary]):
    """The steps that a new search and a resumed one have in common."""

    folder: RunFolder
    config: Config
    study: Study

    def __init__(self, console: Console, work: Work, listeners: Sequence[TrialListener]) -> None:
        self.console = console
        self.work = work
        self.listeners = listeners
        self.recorder: SearchRecorder | None = None
        self.elapsed_s = 0.0

    def prepare(self) -> TrialResources:
        self.config, resources = self.work.prepare(self.config, self.console)
        return resources

    def run(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        begun = time.monotonic()
        self.recorder = SearchRecorder(self.folder, self.config, self.study)
        title = f"search {self.folder.name}"
        self._measure_teachers(resources, admission)
        run_trials(
            self.recorder,
            resources,
            admission,
            title=title,
            console=self.console,
            work=self.work,
            listeners=self.listeners,
        )
        self._draw_panels(resources, admission)
        self._measure_student(resources, admission)
        self.elapsed_s = time.monotonic() - begun

    def conclude(self) -> Summary:
        recorder = self.recorder or SearchRecorder(self.folder, self.config, self.study)
        return Summary(
            self.folder,
            recorder.counts(),
            self.study.num_trials,
            recorder.best(),
            tuple(view for view in self.study.views() if view.fixed),
            self.config.search.leading_metric,
            self.elapsed_s,
            recorder.noise(),
            self.study.used_up,
            tuple(sentences_of_run(self.folder.results, self.config)),
        )

    def _draw_panels(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        if self.work.draw is None:
            return
        assert self.recorder is not None
        best = [view.number for view in self.recorder.best_trials.leaders]
        with spinning(self.console, "Drawing how the best trials rank"):
            problems = draw_panels(
                self.folder, self.config, best, draw=self.work.draw, resources=resources, admission=admission
            )
        for name, reason in problems.items():
            self.console.print(f"{name}: no pictures, {reason}", soft_wrap=True)

    def _measure_teachers(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        """Once for a run; the sentence stands at the beginning of every driver."""
        folds = self.config.data.folds if self.work.validate else ()
        teachers = {ModelKey(TEACHER, fold, None): str(self.config.teacher.checkpoint_for(fold)) for fold in folds}
        self._measure(teachers, resources, admission)
        for sentence in sentences_before(self.config, TeachingTables(self.folder.results).figures()):
            self.console.print(sentence, soft_wrap=True)

    def _measure_student(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        """Training without distillation, once it is complete."""
        students = {}
        for view in self.study.views():
            if view.fixed == NO_DISTILLATION_NAME and view.state == "complete":
                trial = self.folder.checkpoints / trial_name(view.number)
                for part in parts_of(self.config):
                    file = part.folder(trial) / "best.safetensors"
                    if self.folder.holds(file):
                        students[ModelKey(STUDENT, *part)] = self.folder.where(file)
        self._measure(students, resources, admission)

    def _measure(
        self, checkpoints: Mapping[ModelKey, str], resources: TrialResources, admission: NodeAdmission | None
    ) -> None:
        if self.work.validate is None:
            return
        problems = measure_models(
            TeachingTables(self.folder.results),
            self.config,
            checkpoints,
            validate=self.work.validate,
            resources=resources,
            admission=admission,
        )
        for problem in problems:
            self.console.print(problem, soft_wrap=True)


class _NewSearch(_Search):
    """Checks and connects before it makes the run, so that a mistake leaves nothing behind."""

    makes_run = True

    def __init__(
        self,
        config: Config,
        run: Address | Path | str,
        trials: int | None,
        console: Console,
        work: Work,
        listeners: Sequence[TrialListener],
    ) -> None:
        super().__init__(console, work, listeners)
        self.address = Address.of(run)
        self.config = config
        self.trials = trials

    def check(self) -> None:
        refuse_existing(self.address)
        self.config = anchored(self.config, self.address.name, self.trials)
        self.fingerprints = self.work.check(self.config)
        self.earlier = read_earlier(self.config)

    def prepare(self) -> TrialResources:
        self.resources = super().prepare()
        return self.resources

    def open(self) -> RunFolder:
        device = self.resources.device
        self.folder = create(self.address, self.config, self.fingerprints, self.work.timings.store, device)
        trials = self.config.search.trials
        self.console.print(f"{self.folder.address}: {trials} trials, {self.resources.describe()}", soft_wrap=True)
        if self.earlier is not None:
            self.console.print(self.earlier.summary, soft_wrap=True)
        return self.folder

    def run(self, resources: TrialResources, admission: NodeAdmission | None) -> None:
        points = self.earlier.points if self.earlier else ()
        self.study = Study(self.folder.journal, self.folder.name, self.config, points)
        super().run(resources, admission)


class _ResumedSearch(_Search):
    """Takes up a run where it was left."""

    def __init__(
        self,
        run: Address | Path | str,
        trials: int | None,
        console: Console,
        work: Work,
        force: bool,
        listeners: Sequence[TrialListener],
    ) -> None:
        super().__init__(console, work, listeners)
        self.address = run
        self.trials = trials
        self.force = force

    def open(self) -> RunFolder:
        self.folder, self.config, self.manifest = open_run(self.address, drive=True, timings=self.work.timings.store)
        return self.folder

    def check(self) -> None:
        recorded = recorded_trials(self.folder)
        self.study = Study(self.folder.journal, self.folder.name, self.config, recorded=recorded)
        over = {view.number: view.last_step for view in self.study.views() if view.state != "running"}
        with_epochs = set(read_epochs(self.folder.results)["trial"].to_pylist())
        if lacking := without_epochs(over, with_epochs):
            self.console.print(lacking, soft_wrap=True, markup=False)
        self._require_unchanged(self.work.check(self.config))
        if self.trials:
            self.study.add_trials(self.trials)

    def has_work(self) -> bool:
        return self.study.has_work()

    def prepare(self) -> TrialResources:
        resources = super().prepare()
        self._require_device(resources.device)
        trials = self.study.num_trials
        self.console.print(f"{self.folder.address}: {trials} trials, {resources.describe()}", soft_wrap=True)
        return resources

    def _require_unchanged(self, fingerprints: Mapping[str, Any]) -> None:
        """Raises `UserError` when a run is not what it was; with `force`, records what it is from now on."""
        study = self.study
        changed = changes_since(self.manifest, study.began_with, study.config, versions(), fingerprints)
        if not self.force:
            refuse(changed)
        if clashes := study.clashes():
            lines = "\n".join(f"  - {clash}" for clash in clashes)
            raise UserError(
                "a study must keep its objectives, and kind, scale and choices of its parameters, also with --force, "
                f"but these changed (then -> now):\n{lines}\nrestore them, or start a new run"
            )
        if changed:
            study.remember(study.config)
            self._amend(changed, fingerprints=fingerprints)
        if study.left_out:
            self.console.print(
                f"{study.left_out} trials do not fit the space or constraints of now: the sampler does not see them",
                soft_wrap=True,
            )

    def _require_device(self, device: Device) -> None:
        """The same of what trials train on, which is known once Ray is connected."""
        changed = compare({DEVICE: self.manifest.get(DEVICE, device)}, {DEVICE: device})
        if not self.force:
            refuse(changed)
        if changed:
            self._amend(changed, **{DEVICE: device})

    def _amend(self, changed: Sequence[Change], **current: Mapping[str, Any] | str) -> None:
        self.manifest = amend(self.folder, self.manifest, [str(change) for change in changed], **current)
