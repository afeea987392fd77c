"""The rivals of bench_searcher on real Ray Tune: `--tune`, and the test that virtual time gives the same trials."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.landscapes.distillation import Distillation
from benchmarks.searchers import Outcome, Sizes, curve_for_ray, outcome, rays_own, values_of


def ours(seed: int, sizes: Sizes, *, sampler: str = "auto") -> Outcome:
    """Our study, recorder and jobs."""
    from search.execution.resources import TrialResources
    from search.execution.tune import run_jobs
    from search.recorder import SearchRecorder
    from search.runs.manifest import create
    from search.schedulers import make_scheduler
    from search.study.study import Study
    from search.trials.job import Job, Message
    from search.trials.view import NO_DISTILLATION_NAME

    class Budgeted(SearchRecorder):
        """Begins no trial once the budget is used."""

        epochs = 0

        def next_job(self) -> Job | None:
            # no searcher learns from training without distillation, and Ray's has none
            while (job := None if self.epochs >= sizes.budget else super().next_job()) is not None:
                if self.study.view(int(job.key.rpartition("-")[2])).fixed != NO_DISTILLATION_NAME:
                    break
                self.job_started(job.key)
                self.job_failed(job.key, "not trained")
            return job

        def message_received(self, message: Message) -> None:
            self.epochs += 1
            super().message_received(message)

    config = Distillation.configuration(seed, sampler)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = create(Path(scratch) / "bench", config, {})
        recorder = Budgeted(folder, config, Study(folder.journal, folder.name, config))
        run_jobs(
            recorder,
            train=Distillation.drawn(seed).train,
            resources=TrialResources(1, 0, sizes.slots),
            scheduler=make_scheduler(config, [], recorder.gives_up, recorder.spares),
            max_failures=0,
            scratch=folder.scratch,
        )
        recorder.event_files.close()
        seconds = time.perf_counter() - begun
        tried = [view.values for view in recorder.study.views() if view.fixed != NO_DISTILLATION_NAME]
        best = recorder.best()
    return outcome(seed, sizes, best.values if best else None, tried, recorder.epochs, seconds)


def rays(seed: int, sizes: Sizes, *, nan_as: float, gaussian: bool = False) -> Outcome:
    """`Tuner.fit` with `OptunaSearch`; a training that diverges reports `nan_as` and ends."""
    from ray import tune
    from ray.tune.search import Searcher

    searcher, scheduler = rays_own(seed, sizes, gaussian)
    used = [0]
    suggest = searcher.suggest
    # the one thing that is not Ray's: no trial begins once the budget is used
    searcher.suggest = lambda trial_id: Searcher.FINISHED if used[0] >= sizes.budget else suggest(trial_id)
    searcher.save_to_dir = lambda *_: None  # nothing is restored from its snapshots

    class Count(tune.Callback):
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            used[0] += 1

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        trainable = tune.with_parameters(_for_ray, seed=seed, nan_as=nan_as)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=-1,
                max_concurrent_trials=sizes.slots,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="bench", storage_path=scratch, callbacks=[Count()], verbose=0, log_to_file=False
            ),
        )
        results = tuner.fit()
        seconds = time.perf_counter() - begun
        tried = [values_of(results[i].config or {}) for i in range(len(results))]
        best = values_of(results.get_best_result("val_mAP", "max").config or {})
    return outcome(seed, sizes, best, tried, used[0], seconds)


def _for_ray(params: Mapping[str, float], seed: int, nan_as: float) -> None:
    from ray import tune

    for value in curve_for_ray(params, seed, nan_as):
        tune.report({"val_mAP": value})


@contextmanager
def connected(slots: int) -> Iterator[None]:
    """Ray on this machine with a CPU for each slot; or the Ray that is connected already."""
    import ray

    from launch.connection import local_ray
    from search.execution.tune import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    with local_ray(cpus=slots):
        yield
