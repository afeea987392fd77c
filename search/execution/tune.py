"""Ray Tune, reduced to what it is good at here: placing jobs on machines, stopping them, carrying messages.

Nothing of Tune's own memory is used: no restore, no retries, no checkpoints, no loggers. A `JobQueue` decides what runs
next and records what happens; it lives in the driver, and Tune calls it from one thread.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayActorError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.execution.node_admission import NodeAdmission, placement_request, ship_modules_by_value, work_if_admitted
from search.execution.nodes import fault_in_words, is_node_fault
from search.execution.nodes.low_memory import LowMemoryError, low_memory_kills_one_worker
from search.execution.resources import ClusterNodes, TrialResources
from search.execution.retries import RETRY_TIMINGS, RetryPolicy, RetryTimings
from search.execution.worker import Train, work_for_ray
from search.trials.job import Message
from search.trials.job_queue import JobQueue

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are ours to write
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # errors are ours to show
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C raises KeyboardInterrupt, as everywhere else
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's snapshots are never read
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # how many are out at a time is ours to say
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_jobs(
    queue: JobQueue,
    *,
    train: Train,
    resources: TrialResources,
    scheduler: TrialScheduler | None,
    max_failures: int,
    scratch: Path,
    admission: NodeAdmission | None = None,
    timings: RetryTimings = RETRY_TIMINGS,
) -> None:
    """Runs jobs until the queue has no more. Ray must be connected. `admission`: how nodes that join later are checked.

    What the queue raises ends the run and is raised here. Ctrl-C raises `KeyboardInterrupt` at once; jobs under way
    end with their driver's connection.
    """
    os.environ.update(ENVIRONMENT)
    policy = RetryPolicy(queue, resources, max_failures, ClusterNodes(resources), timings)
    callback = _TuneCallback(queue, policy)
    tuner = tune.Tuner(
        tune.with_resources(_trainable(train, admission), _request),
        tune_config=tune.TuneConfig(
            search_alg=_TuneSearcher(policy, resources, callback),
            scheduler=scheduler or FIFOScheduler(),
            num_samples=-1,
            # A fresh process costs seconds of imports. On a GPU it is worth them: it gives all memory back.
            reuse_actors=resources.gpu == 0,
            trial_name_creator=_job_key,
            trial_dirname_creator=_job_key,
        ),
        run_config=tune.RunConfig(
            name="jobs",
            storage_path=str(scratch),
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=0),
            progress_reporter=_NoReporter(),
            verbose=0,
            log_to_file=False,
        ),
    )
    with _quiet_tune(), ship_modules_by_value(), low_memory_kills_one_worker():
        try:
            tuner.fit()
        except Exception:
            if callback.failure is None:
                raise
    if callback.failure is not None:
        raise callback.failure


class _NoReporter(tune.ProgressReporter):
    """In a notebook Tune would show a table of its own."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: Any) -> None:
        """Progress is ours to show."""


def _trainable(train: Train, admission: NodeAdmission | None) -> Any:
    """What runs in a worker."""
    if admission is None:
        return tune.with_parameters(work_for_ray, train=train)
    later = ray.cloudpickle.dumps(train)  # on a node that lacks what it names, only the gate can be opened
    return tune.with_parameters(work_if_admitted, look=admission.look, known=admission.known, train=later)


class _TuneSearcher(Searcher):
    """Tune's way of asking for the next job. How many are out at a time is decided by `RetryPolicy`."""

    def __init__(self, policy: RetryPolicy, resources: TrialResources, callback: _TuneCallback) -> None:
        super().__init__()
        self._policy = policy
        self._resources = resources
        self._callback = callback

    def suggest(self, trial_id: str) -> Any:
        if self._callback.failure is not None:
            return Searcher.FINISHED
        with self._callback.failures_kept():
            job = self._policy.next()
            if job is not None:
                job = replace(job, attempt=job.fence.next_attempt())
        if job is None:
            return Searcher.FINISHED if self._policy.over else None
        # The job as one text: Tune copies, flattens and keeps every value that it can see.
        return {
            "key": job.key,
            "job": json.dumps(asdict(job)),
            "cpu": self._resources.cpu,
            "gpu": job.gpu or self._resources.gpu,
            "healthy": ",".join(sorted(self._policy.healthy_nodes)),
            "excluded": ",".join(sorted(self._policy.excluded_nodes)),
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """`_TuneCallback` is informed of it, also with the report on which a scheduler stopped the trial."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing of a searcher needs to outlive it."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing of a searcher needs to outlive it."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("the study is what a search resumes from")

    def __reduce__(self) -> Any:
        return (_forgotten, ())


class _TuneCallback(tune.Callback):
    """Tune's way of saying what happens."""

    def __init__(self, queue: JobQueue, policy: RetryPolicy) -> None:
        self._queue = queue
        self._policy = policy
        self._last: dict[str, Message] = {}
        self._finished: list[Any] = []
        self.failure: BaseException | None = None

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with self.failures_kept():
            worker = trial.temporary_state.ray_actor
            self._policy.started(trial.config["key"], worker._actor_id.hex())

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        with self.failures_kept():
            message = Message.of(result)
            self._last[message.key] = message
            self._queue.message_received(message)
            if message.epoch:
                self._policy.epoch_reported(message)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with self.failures_kept():
            key = trial.config["key"]
            self._finished.append(trial)
            self._policy.ended(key, self._last.pop(key, None))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with self.failures_kept():
            key = trial.config["key"]
            self._finished.append(trial)
            self._last.pop(key, None)
            error = _error(trial)
            if isinstance(error, LowMemoryError):
                self._policy.failed(key, fault_in_words(error), of_node=True)
            elif isinstance(error, RayActorError) and not error.actor_init_failed:
                self._policy.worker_died(key, _error_text(trial), preempted=error.preempted)
            elif error is not None and is_node_fault(error):
                self._policy.failed(key, fault_in_words(error), of_node=True)
            else:
                self._policy.failed(key, _error_text(trial))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        with self.failures_kept():
            self._policy.settle()
        for trial in self._finished:
            trials.remove(trial)
            _empty(trial)
        self._finished.clear()

    @contextmanager
    def failures_kept(self) -> Iterator[None]:
        """Keeps what the queue raises: Tune would take it for a failure of the trial and go on."""
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


def _request(payload: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    """What one attempt takes of a machine."""
    bundle = {"CPU": payload["cpu"], **({"GPU": payload["gpu"]} if payload["gpu"] else {})}
    asked: tune.PlacementGroupFactory = placement_request(bundle, payload["excluded"])
    return asked


def _empty(trial: Any) -> None:
    """Drops what Tune would keep of a trial that is over: it has no use for it, and a search has thousands."""
    trial.config.clear()
    trial.evaluated_params = {}
    trial.experiment_tag = ""
    trial.run_metadata.last_result = {}
    trial.run_metadata.metric_analysis = {}
    trial.run_metadata.metric_n_steps = {}


def _error(trial: Any) -> BaseException | None:
    """What ended a trial; this process wrote it down a moment ago."""
    path = trial.pickled_error_file
    error = pickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None
    return error if isinstance(error, BaseException) else None


def _error_text(trial: Any) -> str:
    path = trial.error_file
    text = Path(path).read_text(encoding="utf-8", errors="replace").strip() if path and Path(path).exists() else ""
    return text or "the worker died"


def _forgotten() -> None:
    """What a snapshot of Tune's holds in place of our queue, which only the driver has: snapshots are never read."""


def _job_key(trial: Any) -> str:
    return str(trial.config["key"]).replace("/", "-")
