"""A search from its first look at the data to its last trial, and every way of going on with one.

    search(config, runs/name, connect=..., console=...)    a new run
    resume(runs/name, connect=..., console=...)            after a kill, a Ctrl-C, a lost cluster; or for more trials

Both open the study and work it off: there is no second path for going on, so that it cannot rot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from owkd.config import Config
from owkd.errors import OwkdError, UserError
from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources
from search.execution.stage import Connect, Prepare, prepare, slots_alone
from search.execution.tune import run_jobs
from search.execution.worker import Train, train_student
from search.progress import Progress
from search.recorder import SearchRecorder
from search.runs.inputs import anchored, check_inputs
from search.runs.integrity import changes_since, refuse
from search.runs.layout import RunFolder, trial_name
from search.runs.lock import lock_run
from search.runs.manifest import amend, create, open_run, refuse_existing, versions
from search.schedulers import make_scheduler
from search.space.parameters import describe
from search.storage.address import Address
from search.study.study import Study
from search.study.warm_start import read_earlier
from search.tensorboard.panels import DrawModel, draw_model, draw_panels
from search.trials.states import State
from search.trials.view import TrialView


@dataclass(frozen=True)
class Work:
    """What a search calls of owkd."""

    train: Train = train_student
    check: Callable[[Config], dict[str, Any]] = check_inputs
    draw: DrawModel | None = None
    """without it, no pictures of the best trials are drawn"""
    prepare: Prepare = slots_alone


OWKD = Work(draw=draw_model, prepare=prepare)


@dataclass(frozen=True)
class Summary:
    """What a search has come to."""

    folder: RunFolder
    counts: Mapping[State, int]
    """trials that are over, by state"""
    target: int
    best: TrialView | None
    """the best complete trial"""
    published: TrialView
    """trial 0"""
    metric: str
    elapsed_s: float

    def describe(self, view: TrialView) -> str:
        """A trial on one line: number, value, parameters."""
        score = "no value" if view.objective is None else f"{self.metric} {view.objective:.4f}"
        return f"trial {view.number} ({view.state}), {score}, {describe(view.values)}"


def search(
    config: Config,
    run: Address | Path | str,
    *,
    connect: Connect,
    console: Console,
    trials: int | None = None,
    work: Work | None = None,
) -> Summary:
    """Runs a new search at `run`, a folder or an address in a store, where nothing must be yet.

    `trials` overrides `search.trials`.

    Raises `ConfigError`, `UserError` before anything is written; `OwkdError` when no trial can succeed; and
    `KeyboardInterrupt` after Ctrl-C, with the run left as `resume` takes it up.
    """
    work = work or OWKD
    address = Address.of(run)
    refuse_existing(address)
    config = anchored(config, address.name, trials)
    prints = work.check(config)
    earlier = read_earlier(config)
    with connect() as admission:
        config, resources = work.prepare(config, console)
        folder = create(address, config, prints)
        console.print(f"{folder.address}: {config.search.trials} trials, {resources.describe()}", soft_wrap=True)
        if earlier is not None:
            console.print(earlier.summary, soft_wrap=True)
        with lock_run(folder):
            study = Study(folder.journal, folder.name, config, earlier.points if earlier else ())
            return _drive(folder, config, study, resources, work, console, admission)


def resume(
    run: Address | Path | str,
    *,
    connect: Connect,
    console: Console,
    trials: int | None = None,
    work: Work | None = None,
    force: bool = False,
) -> Summary:
    """Goes on with a run where it was left, and for `trials` more than were planned.

    Raises `UserError` when there is no such run, when another process drives it, or (without `force`) when code, data,
    teachers or what the trials are made of changed; otherwise as `search`.
    """
    work = work or OWKD
    folder, config, manifest = open_run(run, drive=True)
    with lock_run(folder):
        study = Study(folder.journal, folder.name, config)
        _require_unchanged(folder, manifest, study, work.check(config), force)
        if trials:
            study.add_trials(trials)
        if not study.has_work():
            return _summary(SearchRecorder(folder, config, study), 0.0)
        with connect() as admission:
            config, resources = work.prepare(config, console)
            console.print(f"{folder.address}: {study.target} trials, {resources.describe()}", soft_wrap=True)
            return _drive(folder, config, study, resources, work, console, admission)


def _require_unchanged(
    folder: RunFolder, manifest: dict[str, Any], study: Study, prints: Mapping[str, Any], force: bool
) -> None:
    """Raises `UserError` when a run is not what it was; with `force`, writes down what it is from now on."""
    changed = changes_since(manifest, study.began_with, study.config, versions(), prints)
    if not force:
        refuse(changed)
    if clashes := study.clashes():
        lines = "\n".join(f"  - {clash}" for clash in clashes)
        raise UserError(
            "parameters of a study must keep their kind and their choices, also with --force, but these do not "
            f"(then -> now):\n{lines}\ndo restore the space, or start a new run"
        )
    if changed:
        study.remember(study.config)
        amend(folder, manifest, prints, [str(change) for change in changed])


def _drive(
    folder: RunFolder,
    config: Config,
    study: Study,
    resources: TrialResources,
    work: Work,
    console: Console,
    admission: NodeAdmission | None,
) -> Summary:
    begun = time.monotonic()
    recorder = SearchRecorder(folder, config, study)
    past = ((trial_name(view.number), view.curve) for view in study.views())
    progress = Progress(
        console,
        f"search {folder.name}",
        total=study.target,
        unit="trials",
        metric=config.search.leading_metric,
        past=recorder.counts(),
    )
    try:
        with progress:
            recorder.show_on(progress, resources.at_a_time)
            run_jobs(
                folder.durable(recorder),
                train=work.train,
                resources=resources,
                scheduler=make_scheduler(config, past, recorder.stops_after_first_fold),
                max_failures=config.search.max_failures,
                scratch=folder.scratch,
                admission=admission,
            )
    finally:
        recorder.close()
    recorder.keep_best_checkpoints()
    reason = recorder.hopeless()
    if reason is not None:
        raise OwkdError(f"the search was stopped because all of its trials fail alike:\n{reason}")
    _draw(recorder, resources, work, console, admission)
    return _summary(recorder, time.monotonic() - begun)


def _draw(
    recorder: SearchRecorder, resources: TrialResources, work: Work, console: Console, admission: NodeAdmission | None
) -> None:
    if work.draw is None:
        return
    complete = [view.number for view in recorder.study.views() if view.state == "complete"]
    with console.status("Drawing how the best trials rank"):
        problems = draw_panels(
            recorder.folder, recorder.config, complete, draw=work.draw, resources=resources, admission=admission
        )
    for name, why in problems.items():
        console.print(f"{name}: no pictures, {why}", soft_wrap=True)


def _summary(recorder: SearchRecorder, elapsed_s: float) -> Summary:
    metric = recorder.config.search.leading_metric
    return Summary(
        recorder.folder,
        recorder.counts(),
        recorder.study.target,
        recorder.best(),
        recorder.study.view(0),
        metric,
        elapsed_s,
    )
