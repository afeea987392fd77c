"""Trains the models that a source calls for on all workers there are, and shows how far it is."""

from __future__ import annotations

from contextlib import closing

from rich.console import Console

from search.execution.node_admission import NodeAdmission
from search.execution.resources import TrialResources
from search.execution.retries import RetryTimings
from search.execution.tune import run_jobs
from search.execution.worker import Train
from search.progress import Progress
from search.retrain.models.recorder import ModelSource, RetrainRecorder
from search.runs.layout import RunFolder


def train_models(
    source: ModelSource,
    run: RunFolder,
    title: str,
    total: int,
    *,
    train: Train,
    console: Console,
    resources: TrialResources,
    admission: NodeAdmission | None,
    max_failures: int,
    timings: RetryTimings,
) -> None:
    """Trains every model that has no record, as jobs without a scheduler: each runs to its last epoch.

    total: models in all, as far as is known. Raises `KeyboardInterrupt` after Ctrl-C.
    """
    records = source.records
    recorder = RetrainRecorder(source, run)
    progress = Progress(
        console, title, total=total, unit="models", metric=records.metric, past={"complete": len(records.by_key)}
    )
    recorder.listeners.append(progress)
    with progress, closing(recorder):
        run_jobs(
            run.durable(recorder),
            train=train,
            resources=resources,
            scheduler=None,
            max_failures=max_failures,
            scratch=run.scratch,
            admission=admission,
            timings=timings,
        )
