"""Ray Tune, reduced to what it is good at here: placing jobs on machines, restarting them, carrying messages.

Nothing of Tune's own memory is used: no restore, no checkpoints, no loggers. A `Desk` decides what runs next and
hears what happens; it lives in the driver, and Tune calls it from one thread.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from owkd.config import Config
from search.share import Share
from search.trainable import Job, Message, Train, parts_of, work_for_ray

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are ours to write
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # errors are ours to show
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C raises KeyboardInterrupt, as everywhere else
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's snapshots are never read
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}

Curve = dict[int, float]
"""objective by step"""

GivesUp = Callable[[str, int, float], bool]
"""whether to stop a job at an epoch: its key, the step and the objective there"""


class Desk(Protocol):
    """Hands out jobs and hears about them."""

    def next_job(self) -> Job | None:
        """The next job; None when there are no more."""
        ...

    def started(self, key: str) -> None:
        """A worker starts (or restarts) a job."""
        ...

    def heard(self, message: Message) -> None:
        """A message of a job, `crashed` ones included."""
        ...

    def stopped(self, key: str, last: Message) -> None:
        """A job is over; the state of its last message is `running` when the scheduler stopped it."""
        ...

    def lost(self, key: str, error_text: str) -> None:
        """A job is over because it failed more often than allowed."""
        ...


def scheduler_for(
    config: Config, epochs: int, past: Iterable[tuple[str, Curve]], gives_up: GivesUp | None = None
) -> TrialScheduler:
    """The configured scheduler, which knows what trials of earlier drivers reported (`past`: job key, curve).

    A job that it would let go on, `gives_up` may stop all the same.
    """
    chosen = config.search.scheduler
    if chosen.name == "none":
        return Informed(FIFOScheduler(), gives_up=gives_up)
    asha = ASHAScheduler(
        time_attr="step",
        metric="objective",
        mode="max",
        max_t=epochs * len(parts_of(config)),
        grace_period=chosen.grace_epochs,
        reduction_factor=chosen.reduction_factor,
    )
    return Informed(asha, past, gives_up)


class Informed(FIFOScheduler):
    """A scheduler that remembers by job, not by Ray's trial: across retries, and across drivers.

    It is asked about epochs only: a job that ended by itself is never stopped as well, so that nobody takes a
    complete trial for a pruned one. An epoch that is told again changes nothing, because the inner scheduler has
    its step on record.
    """

    def __init__(self, inner: Any, past: Iterable[tuple[str, Curve]] = (), gives_up: GivesUp | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner
        self._gives_up = gives_up
        self._metric = "objective"
        self._known: set[str] = set()
        for key, curve in past:
            self._add(key)
            for step, objective in sorted(curve.items()):
                self._inner.on_trial_result(None, _alias(key), {"step": step, "objective": objective})

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._add(trial.config["key"])

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if result.get("state") != "running":
            return str(TrialScheduler.CONTINUE)
        key = trial.config["key"]
        decision = str(self._inner.on_trial_result(tune_controller, _alias(key), result))
        if (
            decision == TrialScheduler.CONTINUE
            and self._gives_up
            and self._gives_up(key, result["step"], result["objective"])
        ):
            return str(TrialScheduler.STOP)
        return decision

    def debug_string(self) -> str:
        return str(self._inner.debug_string())

    def __reduce__(self) -> Any:
        return (_forgotten, ())

    def _add(self, key: str) -> None:
        if key not in self._known:
            self._known.add(key)
            self._inner.on_trial_add(None, _alias(key))


def run_jobs(
    desk: Desk, *, train: Train, share: Share, scheduler: TrialScheduler | None, max_failures: int, scratch: Path
) -> None:
    """Runs jobs until the desk has no more. Ray must be connected.

    What the desk raises ends the run and is raised here. Ctrl-C raises `KeyboardInterrupt` at once; jobs under way
    end with their driver's connection.
    """
    os.environ.update(ENVIRONMENT)
    ears = _Ears(desk)
    request = tune.PlacementGroupFactory([{"CPU": share.cpu, **({"GPU": share.gpu} if share.gpu else {})}])
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(work_for_ray, train=train), request),
        tune_config=tune.TuneConfig(
            search_alg=_Hand(desk, ears),
            scheduler=scheduler or FIFOScheduler(),
            num_samples=-1,
            max_concurrent_trials=share.at_a_time,
            # A fresh process costs seconds of imports. On a GPU it is worth them: it gives all memory back.
            reuse_actors=share.gpu == 0,
            trial_name_creator=_job_key,
            trial_dirname_creator=_job_key,
        ),
        run_config=tune.RunConfig(
            name="jobs",
            storage_path=str(scratch),
            callbacks=[ears],
            failure_config=tune.FailureConfig(max_failures=max_failures),
            verbose=0,
            log_to_file=False,
        ),
    )
    with _quiet_tune():
        try:
            tuner.fit()
        except Exception:
            if ears.failure is None:
                raise
    if ears.failure is not None:
        raise ears.failure


class _Hand(Searcher):
    """Tune's way of asking the desk for the next job."""

    def __init__(self, desk: Desk, ears: _Ears) -> None:
        super().__init__()
        self._desk = desk
        self._ears = ears

    def suggest(self, trial_id: str) -> Any:
        if self._ears.failure is not None:
            return Searcher.FINISHED
        with self._ears.kept():
            job = self._desk.next_job()
        return Searcher.FINISHED if job is None else asdict(job)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The desk hears it from `_Ears`, which is also told the report on which a scheduler stopped the trial."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing of a searcher needs to outlive it."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing of a searcher needs to outlive it."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("the study is what a search resumes from")

    def __reduce__(self) -> Any:
        return (_forgotten, ())


class _Ears(tune.Callback):
    """Tune's way of telling the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._last: dict[str, Message] = {}
        self.failure: BaseException | None = None

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with self.kept():
            self._desk.started(trial.config["key"])

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        with self.kept():
            message = Message.of(result)
            self._last[message.key] = message
            self._desk.heard(message)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with self.kept():
            key = trial.config["key"]
            last = self._last.pop(key, None)
            if last is None:
                self._desk.lost(key, "the worker ended without a word")
            else:
                self._desk.stopped(key, last)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with self.kept():
            key = trial.config["key"]
            self._last.pop(key, None)
            self._desk.lost(key, _error_text(trial))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps what the desk raises: Tune would take it for a failure of the trial and go on."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error
            raise

    def get_state(self) -> None:
        """Nothing of it needs to outlive the driver."""

    def __reduce__(self) -> Any:
        return (_forgotten, ())


@contextmanager
def _quiet_tune() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray.air")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _error_text(trial: Any) -> str:
    path = trial.error_file
    text = Path(path).read_text(encoding="utf-8", errors="replace").strip() if path and Path(path).exists() else ""
    return text or "the worker died"


def _forgotten() -> None:
    """What a snapshot of Tune's holds in place of our desk, which only the driver has: snapshots are never read."""


def _job_key(trial: Any) -> str:
    return str(trial.config["key"]).replace("/", "-")


def _alias(key: str) -> Any:
    return SimpleNamespace(trial_id=key)
